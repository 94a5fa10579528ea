import { timestampDate } from '@bufbuild/protobuf/wkt'
import { DarkroomError } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import { joinRanges, MAX_ITEM_RANGES, rangesOfMessages, withoutRanges } from '@darkroom/proto'
import type { ControlDocument, CoordinatorService, ItemRange, ItemRanges } from '@darkroom/proto'
import { SYSTEM_CLOCK } from '../clock.ts'
import type { OpenBatch } from '../core/state.ts'
import { viewOpen } from '../views.ts'
import { assertVersion } from './assert-version.ts'
import type { RpcContext } from './context.ts'

type UpdateBatch = ServiceImpl<typeof CoordinatorService>['updateBatch']

/** What the request leaves out stays as it is. */
export function updateBatch({ leadership, batches }: RpcContext): UpdateBatch {
  return async ({ batchId, priority, paused, completeBy, approved, ifVersion, ...items }) => {
    const farm = await leadership.farm()
    // Opens it, where nobody has told of it yet.
    const { batch: seen } = await batches.view(farm, batchId)
    await farm.controls.change(batchId, (stored): ControlDocument => {
      const batch = farm.state.batches.get(batchId)
      assertVersion(batch === undefined ? seen : viewOpen(batch, SYSTEM_CLOCK.nowMs()), ifVersion)
      if (batch === undefined)
        throw new DarkroomError('CONFLICT', `batch ${batchId} has ended: change one that is open`)
      if (approved && batch.approveAfter === null)
        throw new DarkroomError('CONFLICT', `batch ${batchId} waits for no yes: submit one with approveAfter for that`)
      const asked = joinRanges(stored.pausedItems ?? [], rangesIn(batch, items.pauseItems))
      const pausedItems = withoutRanges(asked, rangesIn(batch, items.resumeItems))
      // An older coordinator may have left them out.
      const known = joinRanges(stored.cancelledItems ?? [], batch.cancelledItems)
      const cancelledItems = joinRanges(known, rangesIn(batch, items.cancelItems))
      assertFew({ pausedItems, cancelledItems })
      return {
        ...stored,
        priority: priority ?? stored.priority,
        isPaused: paused ?? stored.isPaused,
        ...(completeBy !== undefined && { completeBy: timestampDate(completeBy).toISOString() }),
        ...(approved && { isApproved: true }),
        pausedItems,
        cancelledItems,
      }
    })
    return { batch: (await batches.view(farm, batchId)).batch }
  }
}

/** @throws DarkroomError INVALID_REQUEST */
function rangesIn({ id, itemCount }: OpenBatch, asked: readonly ItemRange[]): ItemRanges {
  for (const { first, last } of asked) {
    if (first <= last && last < itemCount) continue
    const remedy = `name items from 0 to ${itemCount - 1}, the first before the last`
    throw new DarkroomError('INVALID_REQUEST', `batch ${id} has no items ${first} to ${last}: ${remedy}`)
  }
  return rangesOfMessages(asked)
}

/** They are stored with each change, and looked through for each shard. @throws DarkroomError INVALID_REQUEST */
function assertFew(kinds: Readonly<Record<string, ItemRanges>>): void {
  for (const [name, ranges] of Object.entries(kinds)) {
    if (ranges.length <= MAX_ITEM_RANGES) continue
    const remedy = `name longer runs, at most ${MAX_ITEM_RANGES}, or change the batch as a whole`
    throw new DarkroomError('INVALID_REQUEST', `${name} would be ${ranges.length} runs of items: ${remedy}`)
  }
}
