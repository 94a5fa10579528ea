import type { FarmCommand } from './messages.ts'
import { meets } from './needs.ts'
import { redispatch } from './retry.ts'
import type { FarmState, OpenShard } from './state.ts'
import { swapSeconds } from './swaps.ts'

/** What was dispatched more recently may have been taken by its worker, which has not yet had time to tell. */
const SETTLED_MS = 2_000

/**
 * Moves shards that wait in a busy worker's queue to workers that have nothing to do: no device idles at a batch's end while
 * another has two shards. One that has to load the checkpoint first gets only what has waited for as long as that takes.
 */
export function rebalance(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  if (nowMs < farm.dispatchFromMs) return
  let idle = farm.profiles.values().reduce((sum, { free }) => sum + free[0]!.all.size, 0)
  for (const shard of farm.unowned) {
    const waitedMs = nowMs - shard.unownedSinceMs
    if (idle === 0 || waitedMs <= SETTLED_MS) return
    const { assigned, running } = farm.workers.get(shard.assignedTo!)!
    // What it runs may be over for everybody else, and not yet for itself.
    if (assigned.size < 2 && running.size === 0) continue
    if (!isWanted(farm, shard, waitedMs > 1000 * swapSeconds(farm.swaps))) continue
    idle--
    redispatch(farm, farm.batches.get(shard.batchId)!, shard, 'rebalanced', nowMs, commands)
  }
}

function isWanted(farm: FarmState, shard: OpenShard, mayLoad: boolean): boolean {
  const { needs } = farm.batches.get(shard.batchId)!
  return farm.profiles.values().some(({ offer, free }) => {
    const { all, byCheckpoint } = free[0]!
    return meets(offer, needs) && (mayLoad ? all.size > 0 : byCheckpoint.has(shard.checkpoint))
  })
}
