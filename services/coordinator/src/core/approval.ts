import { SEGMENT_ITEMS } from '@darkroom/proto'
import type { OpenBatch } from './state.ts'

type Asked = Pick<OpenBatch, 'approveAfter' | 'isApproved'>

/** Whether an item, or a shard that begins with it, waits until its batch is approved. */
export function isHeldBack({ approveAfter, isApproved }: Asked, item: number): boolean {
  return approveAfter !== null && !isApproved && item >= approveAfter
}

/** Whether its next segment may be planned: one that is held back from its first item on is left alone. */
export function mayPlan(batch: OpenBatch): boolean {
  const { nextSegment, segmentCount, isPlanning } = batch
  return nextSegment < segmentCount && !isPlanning && !isHeldBack(batch, nextSegment * SEGMENT_ITEMS)
}

/** Items that wait for a yes. */
export function heldItems({ approveAfter, isApproved, itemCount }: OpenBatch): number {
  return approveAfter === null || isApproved ? 0 : itemCount - approveAfter
}

/** Of the first items, whether they are done, and somebody is to say yes. Null where nobody is asked. */
export function approvalOf(batch: OpenBatch): 'rendering' | 'waiting' | 'given' | null {
  if (batch.approveAfter === null) return null
  if (batch.isApproved) return 'given'
  const isDone = !batch.isPlanning && !mayPlan(batch) && batch.open.values().every(({ state }) => state === 'held')
  return isDone ? 'waiting' : 'rendering'
}
