import { timestampMs } from '@bufbuild/protobuf/wkt'
import { WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { tellCancelled } from './cancel-shard.ts'
import { dropHedge } from './hedge.ts'
import type { FarmCommand } from './messages.ts'
import { ownShard } from './move-shard.ts'
import { callOff, noteHeld } from './hold-shard.ts'
import { keyOf } from './needs.ts'
import type { Offer } from './needs.ts'
import { quarantine, releaseStalled } from './quarantine.ts'
import { blame, redispatch } from './retry.ts'
import type { Failure } from './retry.ts'
import { joinProfile, leaveProfile, noteCarried } from './slots.ts'
import { findShard, shardKey } from './state.ts'
import type { AttachedWorker, FarmState } from './state.ts'
import { noteLoads } from './swaps.ts'
import { takeBack, updateTaking } from './taking.ts'

/** A heartbeat: what the worker reports is what it holds. */
export function seeWorker(farm: FarmState, snapshot: Worker, nowMs: number, commands: FarmCommand[]): void {
  const named = farm.workers.get(snapshot.id)
  if (named !== undefined) {
    const age = startOf(snapshot) - startOf(named.snapshot)
    // The last words of the process before it, or two that share a name: only the later counts.
    if (age < 0) return
    // Another process under its name: what the one before held died with it, and may be what it died of.
    if (age > 0) loseWorker(farm, named, nowMs, commands)
  }
  const known = farm.workers.get(snapshot.id)
  // An idle worker that vanishes cannot be told from one that was stopped, so that its time does not count either.
  if (known !== undefined && known.running.size > 0) farm.lossRate.heldMs += nowMs - known.seenAtMs
  noteLoads(farm.swaps, known?.snapshot, snapshot)
  const worker = known ?? attachWorker(farm, snapshot, nowMs)
  const before = worker.running
  const running = new Map(snapshot.running.map((shard) => [shardKey(shard.batchId, shard.shardId), shard]))
  const hasOthers = running.size !== before.size || running.keys().some((key) => !before.has(key))
  const hasDone = snapshot.activity !== worker.snapshot.activity
  if (running.size === 0 || hasOthers || hasDone) worker.advancedAtMs = nowMs
  worker.snapshot = snapshot
  worker.seenAtMs = nowMs
  worker.running = running
  worker.idleSinceMs = worker.running.size > 0 ? null : (worker.idleSinceMs ?? nowMs)
  worker.detachedAtMs = null
  // That it lets go of what it held is no sign: its device may hang all the same.
  releaseStalled(farm, worker, commands)
  changeProfile(farm, worker)
  noteCarried(worker)
  updateTaking(farm, worker)
  for (const reported of snapshot.running) {
    const { batchId, shardId, attempt } = reported
    const found = findShard(farm, batchId, shardId)
    if (found !== null && found.shard.state !== 'ending') {
      noteHeld(farm, worker, found, reported, nowMs, commands)
      // At each report: an order can be lost, and an assignment be older than what was cancelled.
      tellCancelled(found.batch, found.shard, worker.id, commands)
      continue
    }
    if (farm.audits.get(shardKey(batchId, shardId))?.workerId === snapshot.id) continue
    // Ended elsewhere, or of a batch that is closed. Before the bucket was read and planned nobody can tell.
    if (farm.batches.get(batchId)?.isPlanning !== true && nowMs >= farm.dispatchFromMs)
      commands.push({ type: 'cancelOnWorker', workerId: snapshot.id, batchId, shardId, attempt })
  }
  for (const [key, { batchId, shardId }] of before) {
    if (worker.running.has(key)) continue
    const shard = findShard(farm, batchId, shardId)?.shard
    if (shard?.state === 'dispatched' && shard.workerId === snapshot.id) ownShard(farm, shard, null, nowMs)
    else if (shard?.hedge?.workerId === snapshot.id && shard.hedge.isTaken) dropHedge(farm, shard, commands)
  }
  if (snapshot.state === WorkerState.DRAINING) takeBack(farm, worker, nowMs, commands)
}

/** Milliseconds, of the worker's own clock. */
function startOf({ connectedAt }: Worker): number {
  return connectedAt === undefined ? 0 : timestampMs(connectedAt)
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
    advancedAtMs: nowMs,
    slowness: 1,
    timedShards: 0,
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

/** Its stream ended. One that holds shards has a moment to come back with them. */
export function detachWorker(farm: FarmState, workerId: string, nowMs: number, commands: FarmCommand[]): void {
  const worker = farm.workers.get(workerId)
  if (worker === undefined) return
  worker.detachedAtMs = nowMs
  updateTaking(farm, worker)
  if (worker.running.size === 0) removeWorker(farm, worker, nowMs, commands)
}

/** Takes workers that were silent, or away, for too long for lost, and those that hold shards and do nothing for stuck. */
export function checkLeases(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { workerLeaseMs, detachedGraceMs, progressLeaseMs } = farm.settings
  for (const worker of farm.workers.values()) {
    const isAway = worker.detachedAtMs !== null && nowMs - worker.detachedAtMs > detachedGraceMs
    if (isAway || nowMs - worker.seenAtMs > workerLeaseMs) loseWorker(farm, worker, nowMs, commands)
    else if (worker.running.size > 0 && nowMs - worker.advancedAtMs > progressLeaseMs)
      stallWorker(farm, worker, nowMs, commands)
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
  takeAway(farm, worker, { reason: 'worker_lost', message: `worker ${worker.id} was lost` }, nowMs, commands)
  removeWorker(farm, worker, nowMs, commands)
}

/** It lives and does not advance: what it holds is given to others, and it is given nothing until it does, or for a while. */
function stallWorker(farm: FarmState, worker: AttachedWorker, nowMs: number, commands: FarmCommand[]): void {
  const { id: workerId, snapshot } = worker
  if (farm.suspects.quarantined.has(workerId)) return
  commands.push({ type: 'workerStalled', workerId })
  for (const { batchId, shardId, attempt } of snapshot.running) {
    const found = findShard(farm, batchId, shardId)
    if (found !== null) callOff(found.shard, { workerId, attempt }, commands)
    else commands.push({ type: 'cancelOnWorker', workerId, batchId, shardId, attempt })
  }
  const seconds = Math.round((nowMs - worker.advancedAtMs) / 1000)
  const message = `worker ${workerId} did not advance for ${seconds} s`
  takeAway(farm, worker, { reason: 'stalled', message }, nowMs, commands)
  quarantine(farm, workerId, 'stalled', nowMs, commands)
}

function takeAway(
  farm: FarmState,
  worker: AttachedWorker,
  why: Pick<Failure, 'reason' | 'message'>,
  nowMs: number,
  commands: FarmCommand[],
): void {
  for (const { batchId, shardId } of worker.running.values()) {
    const found = findShard(farm, batchId, shardId)
    if (found === null) continue
    const { batch, shard } = found
    if (shard.hedge?.workerId === worker.id) dropHedge(farm, shard, commands)
    if (shard.workerId === worker.id) blame(farm, batch, shard, { ...why, mayBeAnItem: true }, nowMs, commands)
  }
}

function removeWorker(farm: FarmState, worker: AttachedWorker, nowMs: number, commands: FarmCommand[]): void {
  worker.detachedAtMs ??= nowMs
  updateTaking(farm, worker)
  for (const shard of worker.assigned) if (shard.hedge?.workerId === worker.id) dropHedge(farm, shard, commands)
  takeBack(farm, worker, nowMs, commands)
  // What is still on its way to it is taken back by those who will be told where it went.
  leaveProfile(farm, worker.profile)
  farm.workers.delete(worker.id)
}
