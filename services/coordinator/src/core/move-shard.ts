import { placeTenant } from './backlog.ts'
import { noteCarried, placeWorker } from './slots.ts'
import { SHARD_TRANSITIONS } from './state.ts'
import type { FarmState, OpenShard, ShardState } from './state.ts'

/** The only place that changes a shard's state. @throws Error on a move that the table does not have */
export function moveShard(farm: FarmState, shard: OpenShard, to: ShardState): void {
  const allowed: readonly ShardState[] = SHARD_TRANSITIONS[shard.state]
  if (!allowed.includes(to)) throw new Error(`shard ${shard.id} cannot go from ${shard.state} to ${to}`)
  const batch = farm.batches.get(shard.batchId)!
  batch.heldShards += Number(to === 'held') - Number(shard.state === 'held')
  // Nothing goes on from there.
  batch.endingShards += Number(to === 'ending')
  const change = Number(isRunning(to)) - Number(isRunning(shard.state))
  shard.state = to
  if (to !== 'dispatched') farm.unowned.delete(shard)
  if (to !== 'resting') farm.resting.delete(shard)
  if (change === 0) return
  farm.outstanding += change
  const { owner } = batch
  owner.running += change
  const ofCheckpoint = (owner.runningOf.get(shard.checkpoint) ?? 0) + change
  if (ofCheckpoint > 0) owner.runningOf.set(shard.checkpoint, ofCheckpoint)
  else owner.runningOf.delete(shard.checkpoint)
  placeTenant(owner)
  if (change < 0) assignShard(farm, shard, null)
}

function isRunning(state: ShardState): boolean {
  return state === 'dispatching' || state === 'dispatched'
}

/** Gives a shard to a worker, or takes it away from the one that has it. */
export function assignShard(farm: FarmState, shard: OpenShard, workerId: string | null): void {
  if (shard.assignedTo === workerId) return
  const before = shard.assignedTo === null ? undefined : farm.workers.get(shard.assignedTo)
  before?.assigned.delete(shard)
  shard.assignedTo = workerId
  const after = workerId === null ? undefined : farm.workers.get(workerId)
  after?.assigned.add(shard)
  for (const worker of [before, after]) {
    if (worker === undefined) continue
    // What a worker has loaded for a shard that has ended it still has; its next word tells.
    if (worker === after) noteCarried(worker)
    placeWorker(farm, worker)
  }
}

/** Says who has a dispatched shard; null for the stream, or nobody knows. */
export function ownShard(farm: FarmState, shard: OpenShard, workerId: string | null, nowMs: number): void {
  shard.workerId = workerId
  farm.unowned.delete(shard)
  if (workerId !== null) return assignShard(farm, shard, workerId)
  shard.unownedSinceMs = nowMs
  farm.unowned.add(shard)
}
