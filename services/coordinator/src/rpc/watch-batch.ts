import type { ServiceImpl } from '@darkroom/chassis'
import { BatchState, batchVersion } from '@darkroom/proto'
import type { CoordinatorService } from '@darkroom/proto'
import type { RpcContext } from './context.ts'

const ENDED: readonly BatchState[] = [BatchState.COMPLETED, BatchState.CANCELLED]

/** The batch now and after each change, until it ends; in between, previews of what is rendered. */
export function watchBatch({
  leadership,
  batches,
  watchers,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['watchBatch'] {
  return async function* ({ batchId, afterRevision }, { signal }) {
    let seen = Number(afterRevision)
    let version = batchVersion((await batches.view(await leadership.farm(), batchId)).batch)
    for await (const previews of watchers.watch(batchId, signal)) {
      const { batch, revision } = await batches.view(await leadership.farm(), batchId)
      const isEnded = ENDED.includes(batch.state)
      const before = version
      version = batchVersion(batch)
      if (revision > seen || version !== before || isEnded) yield { revision: BigInt(revision), batch }
      seen = Math.max(seen, revision)
      if (isEnded) return
      for (const preview of previews) yield { preview }
    }
  }
}
