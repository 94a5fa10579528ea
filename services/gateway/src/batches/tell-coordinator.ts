import type { BatchDocument } from '@darkroom/proto'
import type { CoreContext } from '../context.ts'
import { acceptedProgress, batchProgress } from './batch-json.ts'
import type { BatchProgress } from './batch-json.ts'

const SUBMIT_TIMEOUT_MS = 2_000

/** The batch is accepted whether or not the coordinator hears of it: it lists the bucket too. */
export async function tellCoordinator(
  { coordinator, events }: CoreContext,
  document: BatchDocument,
): Promise<BatchProgress> {
  try {
    const { batch } = await coordinator.submitBatch({ batchId: document.id }, { timeoutMs: SUBMIT_TIMEOUT_MS })
    return batchProgress(batch!)
  } catch (reason) {
    events.coordinatorNotTold(document.id, reason)
    return acceptedProgress(document)
  }
}
