import { joinRanges, withoutRanges } from '@darkroom/proto'
import type { ItemRanges } from '@darkroom/proto'
import { removeReady } from './backlog.ts'
import { activate, settle } from './batch-life.ts'
import { endIfCancelled, tellCancelled } from './cancel-shard.ts'
import { isPausedIn, queueHeld, queueShard } from './hold-back.ts'
import type { FarmCommand } from './messages.ts'
import type { FarmState, OpenBatch } from './state.ts'

/** Nothing of these starts any more, nor of the shards that have one of them; what runs goes on. */
export function pauseItems(
  farm: FarmState,
  batch: OpenBatch,
  items: ItemRanges,
  nowMs: number,
  commands: FarmCommand[],
): void {
  batch.pausedItems = joinRanges(batch.pausedItems, items)
  for (const shard of batch.open.values()) {
    if (shard.state !== 'planned' || !isPausedIn(batch, shard.items)) continue
    removeReady(batch, shard)
    queueShard(farm, batch, shard, nowMs, 'last')
  }
  settle(farm, batch, commands)
}

export function resumeItems(
  farm: FarmState,
  batch: OpenBatch,
  items: ItemRanges,
  nowMs: number,
  commands: FarmCommand[],
): void {
  batch.pausedItems = withoutRanges(batch.pausedItems, items)
  queueHeld(farm, batch, nowMs)
  activate(farm, batch, nowMs)
  settle(farm, batch, commands)
}

/** What of these has not ended is not rendered any more. The batch goes on with the others. */
export function cancelItems(
  farm: FarmState,
  batch: OpenBatch,
  items: ItemRanges,
  nowMs: number,
  commands: FarmCommand[],
): void {
  batch.cancelledItems = joinRanges(batch.cancelledItems, items)
  for (const shard of batch.open.values()) {
    if (endIfCancelled(farm, batch, shard, commands)) continue
    if (shard.workerId !== null) tellCancelled(batch, shard, shard.workerId, commands)
    if (shard.hedge?.isTaken === true) tellCancelled(batch, shard, shard.hedge.workerId, commands)
  }
  // Those beside a paused item that is wanted no more.
  queueHeld(farm, batch, nowMs)
  activate(farm, batch, nowMs)
  settle(farm, batch, commands)
}
