import { WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import type { FarmCommand } from './messages.ts'
import { adopt, blame, redispatch } from './shard-life.ts'
import { findShard, ownShard, shardKey } from './state.ts'
import type { AttachedWorker, FarmState } from './state.ts'

const NOT_TAKING: readonly WorkerState[] = [WorkerState.STARTING, WorkerState.DRAINING, WorkerState.LOST]

/** A heartbeat: what the worker reports is what it holds. */
export function seeWorker(farm: FarmState, snapshot: Worker, nowMs: number, commands: FarmCommand[]): void {
  const before = farm.workers.get(snapshot.id)
  const running = new Map(snapshot.running.map((shard) => [shardKey(shard.batchId, shard.shardId), shard]))
  // An idle worker that vanishes cannot be told from one that was stopped, so that its time does not count either.
  if (before !== undefined && before.running.size > 0) farm.lossRate.heldMs += nowMs - before.seenAtMs
  farm.workers.set(snapshot.id, {
    id: snapshot.id,
    snapshot,
    seenAtMs: nowMs,
    running,
    idleSinceMs: running.size > 0 ? null : (before?.idleSinceMs ?? nowMs),
    detachedAtMs: null,
  })
  if (NOT_TAKING.includes(snapshot.state)) farm.taking.delete(snapshot.id)
  else farm.taking.add(snapshot.id)
  for (const { batchId, shardId, attempt } of snapshot.running) {
    const found = findShard(farm, batchId, shardId)
    if (found !== null && found.shard.state !== 'ending') {
      adopt(farm, found.batch, found.shard, { workerId: snapshot.id, attempt }, nowMs)
      continue
    }
    // Ended elsewhere, or of a batch that is closed. Before the bucket was read and planned nobody can tell.
    if (farm.batches.get(batchId)?.isPlanning !== true && nowMs >= farm.dispatchFromMs)
      commands.push({ type: 'cancelOnWorker', workerId: snapshot.id, batchId, shardId, attempt })
  }
  for (const [key, { batchId, shardId }] of before?.running ?? []) {
    if (running.has(key)) continue
    const shard = findShard(farm, batchId, shardId)?.shard
    if (shard?.state === 'dispatched' && shard.workerId === snapshot.id) ownShard(farm, shard, null, nowMs)
  }
}

/** Its stream ended. One that holds shards has a moment to come back with them. */
export function detachWorker(farm: FarmState, workerId: string, nowMs: number): void {
  const worker = farm.workers.get(workerId)
  if (worker === undefined) return
  worker.detachedAtMs = nowMs
  farm.taking.delete(workerId)
  if (worker.running.size === 0) farm.workers.delete(workerId)
}

/** Takes workers that were silent, or away, for too long for lost. */
export function checkLeases(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { workerLeaseMs, detachedGraceMs } = farm.settings
  for (const worker of farm.workers.values()) {
    const isAway = worker.detachedAtMs !== null && nowMs - worker.detachedAtMs > detachedGraceMs
    if (isAway || nowMs - worker.seenAtMs > workerLeaseMs) loseWorker(farm, worker, commands)
  }
}

/** Dispatches again what should long be with a worker: one has nothing to do, and still nobody reports the shard. */
export function checkUnowned(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { unownedMs } = farm.settings
  const isOverdue = (sinceMs: number | null): boolean => sinceMs !== null && nowMs - sinceMs > unownedMs
  const first = farm.unowned.values().next().value
  if (first === undefined || !isOverdue(first.unownedSinceMs)) return
  if (!farm.taking.values().some((id) => isOverdue(farm.workers.get(id)!.idleSinceMs))) return
  for (const shard of farm.unowned) {
    if (!isOverdue(shard.unownedSinceMs)) return
    redispatch(farm, farm.batches.get(shard.batchId)!, shard, 'unowned', commands)
  }
}

function loseWorker(farm: FarmState, worker: AttachedWorker, commands: FarmCommand[]): void {
  farm.workers.delete(worker.id)
  farm.taking.delete(worker.id)
  if (worker.running.size > 0 && worker.snapshot.state !== WorkerState.DRAINING) {
    farm.lossRate.losses++
    commands.push({ type: 'workerLost', workerId: worker.id })
  }
  for (const { batchId, shardId } of worker.running.values()) {
    const found = findShard(farm, batchId, shardId)
    if (found?.shard.workerId === worker.id)
      blame(farm, found.batch, found.shard, 'worker_lost', `worker ${worker.id} was lost`, commands)
  }
}
