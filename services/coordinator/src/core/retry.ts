import { isHalf } from '@darkroom/proto'
import { charge } from './fairness.ts'
import { dropHedge, takeHedge } from './hedge.ts'
import { queueShard } from './hold-back.ts'
import type { FarmCommand, RedispatchReason } from './messages.ts'
import { assignShard, moveShard, ownShard } from './move-shard.ts'
import { meets } from './needs.ts'
import type { FarmState, OpenBatch, OpenShard } from './state.ts'

/** Of a shard that is no half: one of its items may be what workers die of. */
const FAILURES_BEFORE_SPLIT = 2
const REST_MIN_MS = 1_000
const REST_MAX_MS = 60_000

/** Why an attempt made no record. */
export interface Failure {
  readonly reason: RedispatchReason
  readonly message: string
  /** Whether one of several items may be to blame, so that the others do better without it. */
  readonly mayBeAnItem: boolean
}

/**
 * Another attempt, after a rest where it has failed before. A shard that has failed again is halved until what fails is alone;
 * one that cannot be halved and has failed too often ends as failed.
 */
export function blame(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  { reason, message, mayBeAnItem }: Failure,
  nowMs: number,
  commands: FarmCommand[],
): void {
  if (shard.state !== 'dispatched' && shard.state !== 'dispatching') return
  const { assignedTo } = shard
  // The same worker again, for want of room elsewhere: that says nothing more of the shard.
  const isNews = assignedTo === null || !shard.failedOn.includes(assignedTo) || !hasUntried(farm, batch, shard)
  if (isNews) shard.failures++
  if (assignedTo !== null) noteFailed(shard, assignedTo, reason)
  if (mayBeAnItem && shard.itemCount > 1 && shard.failures >= (isHalf(shard.id) ? 1 : FAILURES_BEFORE_SPLIT))
    return end(farm, batch, shard, 'split', message, commands)
  if (shard.failures >= farm.settings.maxFailures) return end(farm, batch, shard, 'failed', message, commands)
  // Only now: what workers die of would be hedged for ever.
  if (goOnWithHedge(farm, shard, nowMs, commands)) return
  redispatch(farm, batch, shard, reason, nowMs, commands, isNews ? restMs(shard.failures) : REST_MIN_MS)
}

/** Others are asked first; who said that he cannot is accused once one of them can. */
export function noteFailed(shard: OpenShard, workerId: string, reason: RedispatchReason): void {
  if (!shard.failedOn.includes(workerId)) shard.failedOn = [...shard.failedOn, workerId]
  if (reason === 'attempt_failed' && !shard.refusedBy.includes(workerId))
    shard.refusedBy = [...shard.refusedBy, workerId]
}

function hasUntried(farm: FarmState, batch: OpenBatch, shard: OpenShard): boolean {
  return farm.taking
    .values()
    .some((id) => !shard.failedOn.includes(id) && meets(farm.workers.get(id)!.profile.offer, batch.needs))
}

/** The first failure may be nobody's fault. */
function restMs(failures: number): number {
  return failures === 1 ? 0 : Math.min(REST_MIN_MS * 2 ** (failures - 2), REST_MAX_MS)
}

function goOnWithHedge(farm: FarmState, shard: OpenShard, nowMs: number, commands: FarmCommand[]): boolean {
  const hedge = takeHedge(farm, shard)
  if (hedge === null) return false
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  shard.attempt = hedge.attempt
  shard.sequence = hedge.sequence
  assignShard(farm, shard, hedge.workerId)
  shard.firstSteps = null
  ownShard(farm, shard, hedge.isTaken ? hedge.workerId : null, nowMs)
  return true
}

function end(
  farm: FarmState,
  { id: batchId }: OpenBatch,
  shard: OpenShard,
  kind: 'split' | 'failed',
  last: string,
  commands: FarmCommand[],
): void {
  dropHedge(farm, shard, commands)
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  moveShard(farm, shard, 'ending')
  const { id: shardId, attempt, itemCount, failures } = shard
  const message = `${failures} attempts failed; the last: ${last}`
  commands.push({ type: 'endShard', batchId, shardId, attempt, failedAttempts: failures, kind, itemCount, message })
}

/**
 * Back to the front of its batch's queue; the old message must not reach anybody any more. What it was charged is given back: a
 * retry is not billed twice.
 */
export function redispatch(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  reason: RedispatchReason,
  nowMs: number,
  commands: FarmCommand[],
  afterMs = 0,
): void {
  dropHedge(farm, shard, commands)
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  shard.sequence = null
  shard.workerId = null
  shard.firstSteps = null
  charge(batch.owner, shard, 0)
  if (afterMs > 0) {
    moveShard(farm, shard, 'resting')
    shard.restsUntilMs = nowMs + afterMs
    farm.resting.put(shard)
  } else queueShard(farm, batch, shard, nowMs, 'next')
  commands.push({ type: 'redispatched', reason })
}

/** Plans again what has rested. */
export function wakeRested(farm: FarmState, nowMs: number): void {
  for (let shard = farm.resting.first; shard !== undefined; shard = farm.resting.first) {
    if (shard.restsUntilMs > nowMs) return
    queueShard(farm, farm.batches.get(shard.batchId)!, shard, nowMs, 'next')
  }
}
