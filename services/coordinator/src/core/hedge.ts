import { placeTenant } from './backlog.ts'
import type { FarmCommand } from './messages.ts'
import { noteCarried, placeWorker } from './slots.ts'
import type { AttachedWorker, FarmState, Hedge, OpenShard } from './state.ts'

/** GPU-seconds since this coordinator leads: in commit records, and what second attempts may have cost in vain. */
export interface Spent {
  committedSeconds: number
  hedgedSeconds: number
}

/** Has a second worker render a shard beside its first. @param seconds of work that it may cost in vain */
export function beginHedge(
  farm: FarmState,
  shard: OpenShard,
  worker: AttachedWorker,
  seconds: number,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const attempt = ++shard.attempts
  const isSwap = !worker.carries.has(shard.checkpoint)
  shard.hedge = { attempt, workerId: worker.id, sinceMs: nowMs, seconds, sequence: null, isTaken: false }
  farm.hedged.add(shard)
  farm.spent.hedgedSeconds += seconds
  worker.assigned.add(shard)
  noteCarried(worker)
  placeWorker(farm, worker)
  countRunning(farm, shard, 1)
  const { batchId, id: shardId, failures: failedAttempts } = shard
  commands.push({ type: 'dispatch', batchId, shardId, attempt, failedAttempts, workerId: worker.id, isSwap })
  commands.push({ type: 'hedged', batchId, shardId, workerId: worker.id })
}

/** One of the two has ended: what the other has done is what it cost. */
export function settleHedge(
  farm: FarmState,
  { hedge, firstSteps }: OpenShard,
  winner: string | null,
  nowMs: number,
): void {
  if (hedge === null) return
  const sinceMs = winner === hedge.workerId ? (firstSteps?.atMs ?? nowMs) : hedge.sinceMs
  farm.spent.hedgedSeconds += (nowMs - sinceMs) / 1000 - hedge.seconds
}

/** The second attempt is not wanted any more. Does nothing where there is none. */
export function dropHedge(farm: FarmState, shard: OpenShard, commands: FarmCommand[]): void {
  const { hedge: dropped, batchId, id: shardId } = shard
  if (dropped === null) return
  const { attempt, workerId, sequence, isTaken } = dropped
  if (isTaken) commands.push({ type: 'cancelOnWorker', workerId, batchId, shardId, attempt })
  else if (sequence !== null) commands.push({ type: 'withdraw', sequence })
  forgetHedge(farm, shard)
  const worker = farm.workers.get(workerId)
  if (worker === undefined) return
  worker.assigned.delete(shard)
  placeWorker(farm, worker)
}

/** The first attempt is over: the second takes its place. */
export function takeHedge(farm: FarmState, shard: OpenShard): Hedge | null {
  const taken = shard.hedge
  if (taken === null || taken.sequence === null) return null
  // Nothing of it is in vain.
  farm.spent.hedgedSeconds -= taken.seconds
  forgetHedge(farm, shard)
  return taken
}

function forgetHedge(farm: FarmState, shard: OpenShard): void {
  shard.hedge = null
  farm.hedged.delete(shard)
  countRunning(farm, shard, -1)
}

/** A second attempt counts against its tenant's cap like any other. */
function countRunning(farm: FarmState, shard: OpenShard, change: 1 | -1): void {
  const { owner } = farm.batches.get(shard.batchId)!
  farm.outstanding += change
  owner.running += change
  placeTenant(owner)
}

/** Drops second attempts that their workers do not report: the message was lost, or taken back. */
export function checkHedges(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  for (const shard of farm.hedged) {
    const { sinceMs, isTaken } = shard.hedge!
    if (isTaken || nowMs - sinceMs <= farm.settings.unownedMs) continue
    settleHedge(farm, shard, null, nowMs)
    dropHedge(farm, shard, commands)
  }
}
