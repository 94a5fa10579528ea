import { auditSome } from './audit.ts'
import { removeReady } from './backlog.ts'
import { activate, cancelBatch, openShard, settle, tally } from './batch-life.ts'
import { charge } from './fairness.ts'
import { dropHedge, settleHedge } from './hedge.ts'
import { isWhole, learnCosts } from './learn-costs.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { order } from './slots.ts'
import { moveShard, ownShard } from './move-shard.ts'
import { findShard } from './state.ts'
import { blameFailed } from './quarantine.ts'
import { completeSegment, saveCompleted } from './segments.ts'
import type { FarmState, OpenBatch, OpenShard, ShardResult } from './state.ts'

type EventOf<T extends FarmEvent['type']> = Extract<FarmEvent, { type: T }>

/** Commits that are older do not count for a batch's rate. */
export const RATE_WINDOW_MS = 60_000

/** The last shard says so much of a worker's speed at least; the first says all. */
const LEAST_GAIN = 0.2
const SLOWEST = 20

export function confirmDispatch(
  farm: FarmState,
  event: EventOf<'shardDispatched'>,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const found = findShard(farm, event.batchId, event.shardId)
  if (found?.shard.hedge?.attempt === event.attempt) {
    found.shard.hedge.sequence = event.sequence
    return
  }
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
  const { result, halves = [] } = event
  learn(farm, shard, result)
  blameFailed(farm, shard, result, nowMs, commands)
  auditSome(farm, shard, result, nowMs, commands)
  charge(batch.owner, shard, result.deviceSeconds)
  settleHedge(farm, shard, result.workerId, nowMs)
  dropHedge(farm, shard, commands)
  if (shard.state !== 'ending') {
    if (shard.state === 'planned') removeReady(batch, shard)
    if (shard.sequence !== null && shard.workerId === null)
      commands.push({ type: 'withdraw', sequence: shard.sequence })
    moveShard(farm, shard, 'ending')
  }
  batch.open.delete(shard.id)
  batch.endingShards--
  while (batch.recent.length > 0 && nowMs - batch.recent[0]!.atMs > RATE_WINDOW_MS) batch.recent.shift()
  batch.recent.push({ atMs: nowMs, schedulers: result.schedulers })
  const { segment } = shard
  batch.openSegments.get(segment)!.open--
  tally(batch, segment, result)
  for (const half of halves) openShard(farm, batch, segment, half, nowMs, commands, shard.failedOn)
  completeSegment(batch, segment)
  saveCompleted(batch, nowMs, commands)
  // Its halves come too late.
  if (halves.length > 0 && batch.state === 'cancelling') return cancelBatch(farm, batch, commands)
  // A half may have nothing of what its whole waited for.
  activate(farm, batch, nowMs)
  settle(farm, batch, commands)
}

/** What it took, for the cost model and for what is known of the worker. */
function learn(farm: FarmState, { checkpoint, work }: OpenShard, result: ShardResult): void {
  farm.spent.committedSeconds += result.deviceSeconds
  const deviceKind = deviceKindOf(farm, result.workerId)
  const worker = result.workerId === null ? undefined : farm.workers.get(result.workerId)
  // What nobody knows yet says nothing of who renders it.
  if (worker !== undefined && isWhole(result) && farm.costs.hasMeasured(checkpoint)) {
    const ratio = result.deviceSeconds / farm.costs.seconds({ checkpoint, deviceKind }, work)
    const gain = Math.max(1 / ++worker.timedShards, LEAST_GAIN)
    worker.slowness += gain * (Math.min(ratio, SLOWEST) - worker.slowness)
    order(worker)
  }
  learnCosts(farm, { checkpoint, deviceKind }, work, result)
}

export function deviceKindOf(farm: FarmState, workerId: string | null): string | null {
  const worker = workerId === null ? undefined : farm.workers.get(workerId)
  return worker?.profile.offer.deviceKind ?? null
}

export function noteStart(batch: OpenBatch, nowMs: number): void {
  batch.startedAtMs ??= nowMs
  batch.rateSinceMs ??= nowMs
}
