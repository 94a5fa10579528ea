import { DarkroomError } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import { BatchState, keys } from '@darkroom/proto'
import type { CancelDocument, CoordinatorService } from '@darkroom/proto'
import { assertVersion } from './assert-version.ts'
import type { RpcContext } from './context.ts'

/** Stores the wish first, so that it survives a restart; answers once every open shard has its record and nothing starts any more. */
export function cancelBatch({
  leadership,
  batches,
  watchers,
  store,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['cancelBatch'] {
  return async ({ batchId, ifVersion }, { signal }) => {
    const farm = await leadership.farm()
    const { batch } = await batches.view(farm, batchId)
    assertVersion(batch, ifVersion)
    if (batch.state === BatchState.COMPLETED || batch.state === BatchState.CANCELLED) return { batch }
    const wish: CancelDocument = { batchId, requestedAt: new Date().toISOString() }
    await store.putIfAbsent(keys.cancel(batchId), JSON.stringify(wish), { contentType: 'application/json' })
    farm.handle({ type: 'cancelRequested', batchId })
    for await (const _ of watchers.watch(batchId, signal)) {
      // Another leads by now: it finds the wish in the bucket, and its caller asks it.
      if ((await leadership.farm()) !== farm) throw new DarkroomError('NOT_LEADER', 'the leader has just changed')
      if (farm.hasStopped(batchId)) break
    }
    return { batch: (await batches.view(farm, batchId)).batch }
  }
}
