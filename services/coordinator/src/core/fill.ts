import { giveTurn } from './batch-life.ts'
import type { FarmCommand } from './messages.ts'
import { moveShard } from './state.ts'
import type { FarmState } from './state.ts'

/**
 * Dispatches while workers have room: one shard of each batch in turn. A batch whose turn comes without a planned shard plans
 * its next segment, which keeps a place free until it is there.
 */
export function fill(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  if (farm.ring.size === 0 || nowMs < farm.dispatchFromMs) return
  const workers = farm.taking.size
  let room = workers * farm.settings.window - farm.outstanding - farm.planning
  for (const batchId of farm.ring) {
    if (room <= 0) return
    room--
    const batch = farm.batches.get(batchId)!
    const shardId = batch.ready.shift()
    if (shardId === undefined) {
      batch.isPlanning = true
      farm.planning++
      commands.push({ type: 'planSegment', batchId, segment: batch.nextSegment, workers, isClosing: false })
    } else {
      const shard = batch.open.get(shardId)!
      moveShard(farm, shard, 'dispatching')
      shard.attempt++
      commands.push({ type: 'dispatch', batchId, shardId, attempt: shard.attempt })
    }
    // To the end of the ring, which this loop reaches again.
    farm.ring.delete(batchId)
    giveTurn(farm, batch)
  }
}
