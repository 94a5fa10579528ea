import { timestampDate, timestampMs } from '@bufbuild/protobuf/wkt'
import { DarkroomError, Limit } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { ControlDocument, CoordinatorService } from '@darkroom/proto'
import { assertVersion } from './assert-version.ts'
import type { RpcContext } from './context.ts'

type UpdateBatch = ServiceImpl<typeof CoordinatorService>['updateBatch']

/**
 * Stores what is asked for first, so that it survives a restart. What the request leaves out stays as it is: the next change
 * waits until this one is known, or it would store what was before.
 */
export function updateBatch({ leadership, batches, store }: RpcContext): UpdateBatch {
  const oneAtATime = new Limit(1)
  const change: UpdateBatch = async ({ batchId, priority, paused, completeBy, approved, ifVersion }) => {
    const farm = await leadership.farm()
    const { batch } = await batches.view(farm, batchId)
    assertVersion(batch, ifVersion)
    if (!farm.state.batches.has(batchId))
      throw new DarkroomError('CONFLICT', `batch ${batchId} has ended: change one that is open`)
    if (approved && batch.approval === undefined)
      throw new DarkroomError('CONFLICT', `batch ${batchId} waits for no yes: submit one with approveAfter for that`)
    // A yes may have gone to another coordinator, which believed for a moment that it led: it is not taken back by what is changed here.
    const stored = batch.approval === undefined ? null : await store.getJson<ControlDocument>(keys.control(batchId))
    const isApproved = approved || stored?.isApproved === true
    const updatedAt = new Date().toISOString()
    const wanted = completeBy ?? batch.completeBy
    const control: ControlDocument = {
      batchId,
      priority: priority ?? batch.priority,
      isPaused: paused ?? batch.paused,
      ...(wanted !== undefined && { completeBy: timestampDate(wanted).toISOString() }),
      ...(isApproved && { isApproved }),
      updatedAt,
    }
    await store.put(keys.control(batchId), JSON.stringify(control), { contentType: 'application/json' })
    if (priority !== undefined) farm.handle({ type: 'batchPriorityChanged', batchId, priority })
    if (completeBy !== undefined)
      farm.handle({ type: 'batchDeadlineChanged', batchId, completeByMs: timestampMs(completeBy) })
    if (paused !== undefined) farm.handle({ type: paused ? 'batchPaused' : 'batchResumed', batchId })
    if (isApproved) farm.handle({ type: 'batchApproved', batchId })
    return { batch: (await batches.view(farm, batchId)).batch }
  }
  return (request, call) => oneAtATime.run(async () => change(request, call))
}
