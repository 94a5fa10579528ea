import type { ServiceImpl } from '@darkroom/chassis'
import type { CoordinatorService } from '@darkroom/proto'
import type { RpcContext } from './context.ts'

/** Opens a batch whose documents are in the store. Idempotent. */
export function submitBatch({
  leadership,
  batches,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['submitBatch'] {
  return async ({ batchId }) => {
    const farm = await leadership.farm()
    // Most often it is new: what is open is shown without a look at the bucket.
    await farm.openBatch(batchId)
    const { batch } = await batches.view(farm, batchId)
    leadership.noteBatch(batchId)
    return { batch }
  }
}
