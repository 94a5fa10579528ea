import { commonRanges, withoutRanges } from '@darkroom/proto'
import type { ItemRanges } from '@darkroom/proto'
import { awaitsApproval, itemsAwaitingApproval, mayPlan } from './approval.ts'
import { addReady } from './backlog.ts'
import { moveShard } from './move-shard.ts'
import type { FarmState, OpenBatch, OpenShard } from './state.ts'

/** Whether a shard of these items waits for somebody: for a yes to its batch, or until all of its items are resumed. */
export function isHeldBack(batch: OpenBatch, items: ItemRanges): boolean {
  return awaitsApproval(batch, items[0]![0]) || isPausedIn(batch, items)
}

export function isPausedIn(batch: OpenBatch, items: ItemRanges): boolean {
  return pausedIn(batch, items).length > 0
}

/** Of these, the paused ones; what is cancelled holds nothing back. */
export function pausedIn({ pausedItems, cancelledItems }: OpenBatch, items: ItemRanges): ItemRanges {
  return withoutRanges(commonRanges(pausedItems, items), cancelledItems)
}

/** Has a shard wait for a worker, the next of its batch or behind the others; for somebody, where it is held back. */
export function queueShard(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  nowMs: number,
  place: 'next' | 'last',
): void {
  if (isHeldBack(batch, shard.items)) {
    if (shard.state !== 'held') moveShard(farm, shard, 'held')
    return
  }
  moveShard(farm, shard, 'planned')
  addReady(batch, shard, nowMs, place === 'next')
}

/** Has those wait for workers that wait for somebody and need not any more. */
export function queueHeld(farm: FarmState, batch: OpenBatch, nowMs: number): void {
  for (const shard of batch.open.values()) if (shard.state === 'held') queueShard(farm, batch, shard, nowMs, 'last')
}

/** Whether nothing of a batch goes on until somebody says so: a yes, or that items are resumed. */
export function waitsForSomebody(batch: OpenBatch): boolean {
  const { open, heldShards, isPlanning, nextSegment, segmentCount } = batch
  const isEnding = open.size === 0 && nextSegment === segmentCount
  return heldShards === open.size && !isPlanning && !mayPlan(batch) && !isEnding
}

/** Items that no worker is wanted for until somebody says so; of those that are paused, the planned ones. */
export function heldItems(batch: OpenBatch): number {
  const asked = itemsAwaitingApproval(batch)
  if (batch.pausedItems.length === 0) return asked
  const paused = batch.open
    .values()
    .filter(({ state, items }) => state === 'held' && !awaitsApproval(batch, items[0]![0]))
  return paused.reduce((sum, { itemCount }) => sum + itemCount, asked)
}
