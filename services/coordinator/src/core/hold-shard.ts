import type { RunningShard } from '@darkroom/proto'
import { removeReady } from './backlog.ts'
import { charge } from './fairness.ts'
import { dropHedge } from './hedge.ts'
import type { FarmCommand } from './messages.ts'
import { assignShard, moveShard, ownShard } from './move-shard.ts'
import { deviceKindOf, noteStart } from './shard-life.ts'
import { shardKey } from './state.ts'
import type { AttachedWorker, Attempt, FarmState, OpenBatch, OpenShard } from './state.ts'

/**
 * A worker says that it has an attempt of an open shard, and how far it is. It may be one that this coordinator knows nothing of: one
 * that a former leader dispatched, or of a worker that was taken for lost. Then one of the two goes on, the other is called off.
 */
export function noteHeld(
  farm: FarmState,
  worker: AttachedWorker,
  { batch, shard }: { readonly batch: OpenBatch; readonly shard: OpenShard },
  reported: RunningShard,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const { attempt, stepsDone, stepsResumed } = reported
  const by: Attempt = { workerId: worker.id, attempt }
  if (shard.hedge?.workerId === by.workerId && shard.hedge.attempt === attempt) {
    shard.hedge.isTaken = true
    return
  }
  // It was not heard, or its answer is on the way.
  if (isCalledOff(shard, by)) return callOff(shard, by, commands)
  const isWaiting = shard.state === 'planned' || shard.state === 'held'
  if (isWaiting && !isLeftToOthers(farm, shard, by)) adopt(farm, batch, shard, by, nowMs)
  else if (shard.state === 'dispatched' || shard.state === 'dispatching')
    goOnWithOne(farm, batch, shard, reported, by, nowMs, commands)
  if (shard.workerId === by.workerId && stepsDone > stepsResumed) shard.firstSteps ??= { atMs: nowMs, done: stepsDone }
}

/** Tells a worker that its attempt is not wanted any more, whenever it reports it, since an order can be lost. */
export function callOff(shard: OpenShard, { workerId, attempt }: Attempt, commands: FarmCommand[]): void {
  const { batchId, id: shardId } = shard
  // Its number is not given again.
  shard.attempts = Math.max(shard.attempts, attempt)
  if (!isCalledOff(shard, { workerId, attempt })) shard.calledOff = [...shard.calledOff, { workerId, attempt }]
  commands.push({ type: 'cancelOnWorker', workerId, batchId, shardId, attempt })
}

function isCalledOff({ calledOff }: OpenShard, by: Attempt): boolean {
  return calledOff.some(({ workerId, attempt }) => workerId === by.workerId && attempt === by.attempt)
}

/** What a stuck worker holds, until it advances; what it refused, and was not given again, it has not let go of. */
function isLeftToOthers(farm: FarmState, { refusedBy }: OpenShard, { workerId }: Attempt): boolean {
  return farm.suspects.quarantined.get(workerId)?.reason === 'stalled' || refusedBy.includes(workerId)
}

/** What waits for dispatch is with a worker already. */
function adopt(farm: FarmState, batch: OpenBatch, shard: OpenShard, by: Attempt, nowMs: number): void {
  if (shard.state === 'planned') removeReady(batch, shard)
  moveShard(farm, shard, 'dispatching')
  assignShard(farm, shard, by.workerId)
  const { checkpoint, work } = shard
  charge(batch.owner, shard, farm.costs.seconds({ checkpoint, deviceKind: deviceKindOf(farm, by.workerId) }, work))
  moveShard(farm, shard, 'dispatched')
  noteStart(batch, nowMs)
  shard.unownedSinceMs = nowMs
  takeAttempt(farm, shard, by, nowMs)
}

/** Of two attempts, the one with more steps done here; one that nobody has reported yet is taken back. */
function goOnWithOne(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  reported: RunningShard,
  by: Attempt,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const { assignedTo, workerId, attempt } = shard
  if (assignedTo === by.workerId) {
    // A later number is a former leader's.
    if (shard.state === 'dispatched' && by.attempt >= attempt) takeAttempt(farm, shard, by, nowMs)
    return
  }
  const isBehind = workerId !== null && stepsHere(reported) <= stepsHere(reportOf(farm, shard))
  if (isBehind || isLeftToOthers(farm, shard, by)) return callOff(shard, by, commands)
  if (shard.hedge?.workerId === by.workerId) dropHedge(farm, shard, commands)
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  if (assignedTo !== null) callOff(shard, { workerId: assignedTo, attempt }, commands)
  if (shard.state === 'dispatching') moveShard(farm, shard, 'dispatched')
  noteStart(batch, nowMs)
  shard.unownedSinceMs = nowMs
  shard.firstSteps = null
  shard.sequence = null
  takeAttempt(farm, shard, by, nowMs)
}

function takeAttempt(farm: FarmState, shard: OpenShard, { workerId, attempt }: Attempt, nowMs: number): void {
  shard.attempt = attempt
  shard.attempts = Math.max(shard.attempts, attempt)
  ownShard(farm, shard, workerId, nowMs)
}

function reportOf(farm: FarmState, { workerId, batchId, id }: OpenShard): RunningShard | undefined {
  return workerId === null ? undefined : farm.workers.get(workerId)?.running.get(shardKey(batchId, id))
}

function stepsHere(report: RunningShard | undefined): number {
  return report === undefined ? 0 : report.stepsDone - report.stepsResumed
}
