import { DarkroomError } from '@darkroom/chassis'
import type { Batch, BatchDocument } from '@darkroom/proto'
import { maySee } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import type { GatewayContext } from '../context.ts'
import { isBatchId } from './batch-id.ts'

/** Another tenant's batch is none. @throws DarkroomError NOT_FOUND */
export async function findDocument(context: GatewayContext, caller: Caller, batchId: string): Promise<BatchDocument> {
  const document = isBatchId(batchId) ? await context.documents.get(batchId) : null
  if (document === null || !maySee(caller, document.tenant))
    throw new DarkroomError('NOT_FOUND', `no batch ${batchId}: GET /api/v1/batches lists them`)
  return document
}

/**
 * Asks the coordinator how a batch stands. A batch that it has not found yet, because it was away at the acceptance, it is
 * told of now.
 * @throws DarkroomError NOT_FOUND, COORDINATOR_UNAVAILABLE
 */
export async function findBatch(
  context: GatewayContext,
  caller: Caller,
  batchId: string,
): Promise<{ batch: Batch; document: BatchDocument }> {
  const document = await findDocument(context, caller, batchId)
  try {
    return { batch: await context.standings.ask(batchId), document }
  } catch (reason) {
    if (DarkroomError.from(reason).code !== 'NOT_FOUND') throw reason
    const { batch } = await context.coordinator.submitBatch({ batchId })
    return { batch: batch!, document }
  }
}
