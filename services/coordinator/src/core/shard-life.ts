import { addReady, removeReady } from './backlog.ts'
import { settle, tally } from './batch-life.ts'
import { charge } from './fairness.ts'
import { learnCosts } from './learn-costs.ts'
import type { FarmCommand, FarmEvent, RedispatchReason } from './messages.ts'
import { assignShard, moveShard, ownShard } from './move-shard.ts'
import { findShard } from './state.ts'
import type { FarmState, OpenBatch, OpenShard } from './state.ts'

type EventOf<T extends FarmEvent['type']> = Extract<FarmEvent, { type: T }>

/** Commits that are older do not count for a batch's rate. */
export const RATE_WINDOW_MS = 60_000

export function confirmDispatch(
  farm: FarmState,
  event: EventOf<'shardDispatched'>,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const found = findShard(farm, event.batchId, event.shardId)
  if (found === null || found.shard.state !== 'dispatching' || found.shard.attempt !== event.attempt) {
    // It ended or was cancelled while its message was on the way.
    commands.push({ type: 'withdraw', sequence: event.sequence })
    return
  }
  const { batch, shard } = found
  moveShard(farm, shard, 'dispatched')
  shard.sequence = event.sequence
  ownShard(farm, shard, null, nowMs)
  noteStart(batch, nowMs)
}

/** Its commit record was seen, whoever wrote it. */
export function endShard(farm: FarmState, event: EventOf<'shardEnded'>, nowMs: number, commands: FarmCommand[]): void {
  const found = findShard(farm, event.batchId, event.shardId)
  if (found === null) return
  const { batch, shard } = found
  const { checkpoint, work, assignedTo } = shard
  learnCosts(farm, { checkpoint, deviceKind: deviceKindOf(farm, assignedTo) }, work, event.result)
  charge(batch.owner, shard, event.result.deviceSeconds)
  if (shard.state !== 'ending') {
    if (shard.state === 'planned') removeReady(batch, shard)
    if (shard.sequence !== null && shard.workerId === null)
      commands.push({ type: 'withdraw', sequence: shard.sequence })
    moveShard(farm, shard, 'ending')
  }
  batch.open.delete(shard.id)
  while (batch.recent.length > 0 && nowMs - batch.recent[0]!.atMs > RATE_WINDOW_MS) batch.recent.shift()
  batch.recent.push({ atMs: nowMs, images: event.result.images })
  tally(batch, event.result)
  settle(farm, batch, commands)
}

/** Another attempt, or the end for a shard that has failed too often. */
export function blame(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  { reason, message }: { readonly reason: RedispatchReason; readonly message: string },
  nowMs: number,
  commands: FarmCommand[],
): void {
  if (shard.state !== 'dispatched' && shard.state !== 'dispatching') return
  shard.failures++
  shard.failedOn = shard.assignedTo
  if (shard.failures < farm.settings.maxFailures) return redispatch(farm, batch, shard, reason, nowMs, commands)
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  moveShard(farm, shard, 'ending')
  const { id: shardId, attempt, itemCount } = shard
  commands.push({
    type: 'endShard',
    batchId: batch.id,
    shardId,
    attempt,
    kind: 'failed',
    itemCount,
    message: `${shard.failures} attempts failed; the last: ${message}`,
  })
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
): void {
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  moveShard(farm, shard, 'planned')
  shard.sequence = null
  shard.workerId = null
  charge(batch.owner, shard, 0)
  addReady(batch, shard, nowMs, true)
  commands.push({ type: 'redispatched', reason })
}

/** A worker holds the shard: after a take-over it may be one that this coordinator has not dispatched itself. */
export function adopt(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  by: { readonly workerId: string; readonly attempt: number },
  nowMs: number,
): void {
  if (shard.state === 'planned' && by.attempt >= shard.attempt) {
    removeReady(batch, shard)
    moveShard(farm, shard, 'dispatching')
    assignShard(farm, shard, by.workerId)
    const { checkpoint, work } = shard
    charge(batch.owner, shard, farm.costs.seconds({ checkpoint, deviceKind: deviceKindOf(farm, by.workerId) }, work))
    moveShard(farm, shard, 'dispatched')
    noteStart(batch, nowMs)
    shard.attempt = by.attempt
  }
  if (shard.state === 'dispatched' && shard.attempt === by.attempt) ownShard(farm, shard, by.workerId, nowMs)
}

function deviceKindOf(farm: FarmState, workerId: string | null): string | null {
  const worker = workerId === null ? undefined : farm.workers.get(workerId)
  return worker?.profile.offer.deviceKind ?? null
}

function noteStart(batch: OpenBatch, nowMs: number): void {
  batch.startedAtMs ??= nowMs
  batch.rateSinceMs ??= nowMs
}
