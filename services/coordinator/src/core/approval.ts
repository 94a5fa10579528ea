import { commonRanges, countItems, SEGMENT_ITEMS } from '@darkroom/proto'
import type { OpenBatch } from './state.ts'

type Asked = Pick<OpenBatch, 'approveAfter' | 'isApproved'>

/** Whether an item, or a shard that begins with it, waits until its batch is approved. */
export function awaitsApproval({ approveAfter, isApproved }: Asked, item: number): boolean {
  return approveAfter !== null && !isApproved && item >= approveAfter
}

/** Open shards of a batch that no worker can have: they are paused, or about to end as cancelled. With more, nothing is planned. */
const MAX_ASIDE = 4_096

/** Whether its next segment may be planned: one that waits for a yes from its first item on is left alone. */
export function mayPlan(batch: OpenBatch): boolean {
  const { nextSegment, segmentCount, isPlanning, heldShards, endingShards } = batch
  if (nextSegment >= segmentCount || isPlanning || heldShards + endingShards >= MAX_ASIDE) return false
  return !awaitsApproval(batch, nextSegment * SEGMENT_ITEMS)
}

/** Items that wait for a yes; those that were cancelled once they were planned have ended. */
export function itemsAwaitingApproval(batch: OpenBatch): number {
  const { approveAfter, isApproved, itemCount, cancelledItems, nextSegment } = batch
  if (approveAfter === null || isApproved) return 0
  const planned = commonRanges(cancelledItems, [[approveAfter, nextSegment * SEGMENT_ITEMS - 1]])
  return itemCount - approveAfter - countItems(planned)
}

/** Of the first items, whether they are done, and somebody is to say yes. Null where nobody is asked. */
export function approvalOf(batch: OpenBatch): 'rendering' | 'waiting' | 'given' | null {
  if (batch.approveAfter === null) return null
  if (batch.isApproved) return 'given'
  const isDone = !batch.isPlanning && !mayPlan(batch) && batch.heldShards === batch.open.size
  return isDone && batch.open.values().every(({ items }) => awaitsApproval(batch, items[0]![0]))
    ? 'waiting'
    : 'rendering'
}
