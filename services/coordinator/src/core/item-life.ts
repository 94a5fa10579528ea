import { joinRanges, withoutRanges } from '@darkroom/proto'
import type { ItemRanges } from '@darkroom/proto'
import { removeReady } from './backlog.ts'
import { goOn, settle } from './batch-life.ts'
import { endIfCancelled, tellCancelled } from './cancel-shard.ts'
import { isPausedIn } from './hold-back.ts'
import type { FarmCommand } from './messages.ts'
import { moveShard } from './move-shard.ts'
import type { FarmState, OpenBatch } from './state.ts'

/** Nothing of these starts any more, nor of the shards that have one of them; what runs goes on. */
export function pauseItems(farm: FarmState, batch: OpenBatch, items: ItemRanges, commands: FarmCommand[]): void {
  batch.pausedItems = joinRanges(batch.pausedItems, items)
  for (const shard of batch.open.values()) {
    if (shard.state !== 'planned' || !isPausedIn(batch, shard.items)) continue
    removeReady(batch, shard)
    moveShard(farm, shard, 'held')
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
  goOn(farm, batch, nowMs, commands)
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
  // Also those beside a paused item that is wanted no more.
  goOn(farm, batch, nowMs, commands)
}
