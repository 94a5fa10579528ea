import { WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import type { FarmCommand } from './messages.ts'
import { ownShard } from './move-shard.ts'
import { keyOf } from './needs.ts'
import type { Offer } from './needs.ts'
import { adopt, blame, redispatch } from './shard-life.ts'
import { joinProfile, leaveProfile, noteCarried, placeWorker } from './slots.ts'
import { findShard, shardKey } from './state.ts'
import type { AttachedWorker, FarmState } from './state.ts'
import { noteLoads } from './swaps.ts'

const NOT_TAKING: readonly WorkerState[] = [WorkerState.STARTING, WorkerState.DRAINING, WorkerState.LOST]

/** A heartbeat: what the worker reports is what it holds. */
export function seeWorker(farm: FarmState, snapshot: Worker, nowMs: number, commands: FarmCommand[]): void {
  const known = farm.workers.get(snapshot.id)
  // An idle worker that vanishes cannot be told from one that was stopped, so that its time does not count either.
  if (known !== undefined && known.running.size > 0) farm.lossRate.heldMs += nowMs - known.seenAtMs
  noteLoads(farm.swaps, known?.snapshot, snapshot)
  const worker = known ?? attachWorker(farm, snapshot, nowMs)
  const before = worker.running
  worker.snapshot = snapshot
  worker.seenAtMs = nowMs
  worker.running = new Map(snapshot.running.map((shard) => [shardKey(shard.batchId, shard.shardId), shard]))
  worker.idleSinceMs = worker.running.size > 0 ? null : (worker.idleSinceMs ?? nowMs)
  worker.detachedAtMs = null
  changeProfile(farm, worker)
  noteCarried(worker)
  setTaking(farm, worker, !NOT_TAKING.includes(snapshot.state))
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
  for (const [key, { batchId, shardId }] of before) {
    if (worker.running.has(key)) continue
    const shard = findShard(farm, batchId, shardId)?.shard
    if (shard?.state === 'dispatched' && shard.workerId === snapshot.id) ownShard(farm, shard, null, nowMs)
  }
  if (snapshot.state === WorkerState.DRAINING) takeBack(farm, worker, nowMs, commands)
}

function attachWorker(farm: FarmState, snapshot: Worker, nowMs: number): AttachedWorker {
  const worker: AttachedWorker = {
    id: snapshot.id,
    snapshot,
    seenAtMs: nowMs,
    running: new Map(),
    idleSinceMs: nowMs,
    detachedAtMs: null,
    assigned: new Set(),
    carries: new Set(),
    profile: joinProfile(farm, offerOf(snapshot)),
    place: null,
  }
  farm.workers.set(snapshot.id, worker)
  return worker
}

function offerOf({ device, tags }: Worker): Offer {
  return { deviceKind: device?.kind ?? '', memoryBytes: Number(device?.memoryBytes ?? 0n), tags }
}

/** A worker may tell its device's memory only after a while, or come back with another device. */
function changeProfile(farm: FarmState, worker: AttachedWorker): void {
  const offer = offerOf(worker.snapshot)
  const { profile } = worker
  if (keyOf(offer) === keyOf(profile.offer)) return
  worker.profile = joinProfile(farm, offer)
  leaveProfile(farm, profile)
}

function setTaking(farm: FarmState, worker: AttachedWorker, isTaking: boolean): void {
  if (isTaking) farm.taking.add(worker.id)
  else farm.taking.delete(worker.id)
  placeWorker(farm, worker)
}

/** Its stream ended. One that holds shards has a moment to come back with them. */
export function detachWorker(farm: FarmState, workerId: string, nowMs: number, commands: FarmCommand[]): void {
  const worker = farm.workers.get(workerId)
  if (worker === undefined) return
  worker.detachedAtMs = nowMs
  setTaking(farm, worker, false)
  if (worker.running.size === 0) removeWorker(farm, worker, nowMs, commands)
}

/** Takes workers that were silent, or away, for too long for lost. */
export function checkLeases(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { workerLeaseMs, detachedGraceMs } = farm.settings
  for (const worker of farm.workers.values()) {
    const isAway = worker.detachedAtMs !== null && nowMs - worker.detachedAtMs > detachedGraceMs
    if (isAway || nowMs - worker.seenAtMs > workerLeaseMs) loseWorker(farm, worker, nowMs, commands)
  }
}

/** Dispatches again what should long be with its worker: that one has nothing to do, and still does not report the shard. */
export function checkUnowned(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { unownedMs } = farm.settings
  const isOverdue = (sinceMs: number | null): boolean => sinceMs !== null && nowMs - sinceMs > unownedMs
  for (const shard of farm.unowned) {
    if (!isOverdue(shard.unownedSinceMs)) return
    const worker = farm.workers.get(shard.assignedTo!)!
    if (isOverdue(worker.idleSinceMs))
      redispatch(farm, farm.batches.get(shard.batchId)!, shard, 'unowned', nowMs, commands)
  }
}

function loseWorker(farm: FarmState, worker: AttachedWorker, nowMs: number, commands: FarmCommand[]): void {
  if (worker.running.size > 0 && worker.snapshot.state !== WorkerState.DRAINING) {
    farm.lossRate.losses++
    commands.push({ type: 'workerLost', workerId: worker.id })
  }
  for (const { batchId, shardId } of worker.running.values()) {
    const found = findShard(farm, batchId, shardId)
    const why = { reason: 'worker_lost', message: `worker ${worker.id} was lost` } as const
    if (found?.shard.workerId === worker.id) blame(farm, found.batch, found.shard, why, nowMs, commands)
  }
  removeWorker(farm, worker, nowMs, commands)
}

function removeWorker(farm: FarmState, worker: AttachedWorker, nowMs: number, commands: FarmCommand[]): void {
  setTaking(farm, worker, false)
  takeBack(farm, worker, nowMs, commands)
  // What is still on its way to it is taken back by those who will be told where it went.
  leaveProfile(farm, worker.profile)
  farm.workers.delete(worker.id)
}

/** What a worker that leaves was given and has not taken is for others. */
function takeBack(farm: FarmState, worker: AttachedWorker, nowMs: number, commands: FarmCommand[]): void {
  for (const shard of [...worker.assigned].toReversed()) {
    if (shard.workerId === null)
      redispatch(farm, farm.batches.get(shard.batchId)!, shard, 'worker_left', nowMs, commands)
  }
}
