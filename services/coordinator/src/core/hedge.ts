import { placeTenant } from './backlog.ts'
import type { FarmCommand } from './messages.ts'
import { meets } from './needs.ts'
import { noteCarried, placeWorker } from './slots.ts'
import type { AttachedWorker, FarmState, Hedge, OpenBatch, OpenShard } from './state.ts'
import { swapSeconds } from './swaps.ts'
import { isAtLimit } from './tenants.ts'

/** GPU-seconds since this coordinator leads: in commit records, and given to second attempts. */
export interface Spent {
  committedSeconds: number
  hedgedSeconds: number
}

/** Of what was committed, what may be spent on second attempts. */
const BUDGET = 0.02
/** A second attempt must be expected to end in so much less of the time that the first still takes. */
const GAIN = 1.5
/** Stragglers at each tick. */
const LOOKED_AT = 64

interface Straggler {
  readonly batch: OpenBatch
  readonly shard: OpenShard
  readonly secondsLeft: number
}

/**
 * Gives the last shards of batches, those that take the longest, to workers that have nothing to do and are expected to be done
 * with them sooner. Both may end; the first record counts.
 */
export function hedge(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  if (nowMs < farm.dispatchFromMs || farm.profiles.values().every(({ free }) => free[0]!.all.size === 0)) return
  for (const { batch, shard, secondsLeft } of stragglers(farm, nowMs)) {
    const left = BUDGET * farm.spent.committedSeconds - farm.spent.hedgedSeconds
    if (left <= 0) return
    const helper = findHelper(farm, batch, shard)
    if (helper === null || helper.seconds > left || helper.seconds * GAIN > secondsLeft) continue
    begin(farm, shard, helper, nowMs, commands)
  }
}

/** Shards of batches that have nothing else left, the longest first. */
function stragglers(farm: FarmState, nowMs: number): Straggler[] {
  const found: Straggler[] = []
  for (const worker of farm.workers.values()) {
    let before = 0
    for (const running of worker.snapshot.running) {
      const batch = farm.batches.get(running.batchId)
      const shard = batch?.open.get(running.shardId)
      if (batch === undefined || shard?.workerId !== worker.id) continue
      // What a worker has begun goes on beside what it began before.
      before += secondsLeftOf(farm, worker, shard, running, nowMs)
      const isLast = batch.readyShards === 0 && batch.nextSegment === batch.segmentCount && !batch.isPlanning
      if (isLast && batch.isActive && shard.hedge === null) found.push({ batch, shard, secondsLeft: before })
    }
  }
  return found.toSorted((a, b) => b.secondsLeft - a.secondsLeft).slice(0, LOOKED_AT)
}

/** At the rate that it has had; without any, what it is expected to take, or as long again as it has been there. */
function secondsLeftOf(
  farm: FarmState,
  worker: AttachedWorker,
  shard: OpenShard,
  { stepsDone, stepsTotal }: { readonly stepsDone: number; readonly stepsTotal: number },
  nowMs: number,
): number {
  const { firstSteps, unownedSinceMs } = shard
  const steps = stepsDone - (firstSteps?.done ?? stepsDone)
  if (firstSteps !== null && steps > 0) return ((nowMs - firstSteps.atMs) / 1000 / steps) * (stepsTotal - stepsDone)
  const todo = stepsTotal === 0 ? 1 : 1 - stepsDone / stepsTotal
  return Math.max(secondsOn(farm, worker, shard) * todo, (nowMs - (firstSteps?.atMs ?? unownedSinceMs)) / 1000)
}

function secondsOn(farm: FarmState, worker: AttachedWorker, { checkpoint, work }: OpenShard): number {
  const { deviceKind } = worker.profile.offer
  return worker.slowness * farm.costs.seconds({ checkpoint, deviceKind }, work)
}

/** The idle worker that would be done first. */
function findHelper(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
): { readonly worker: AttachedWorker; readonly seconds: number } | null {
  if (isAtLimit(batch.owner)) return null
  let best: { readonly worker: AttachedWorker; readonly seconds: number } | null = null
  for (const { offer, free } of farm.profiles.values()) {
    if (!meets(offer, batch.needs)) continue
    for (const worker of free[0]!.all) {
      if (worker.id === shard.workerId || shard.failedOn.includes(worker.id)) continue
      const load = worker.carries.has(shard.checkpoint) ? 0 : swapSeconds(farm.swaps)
      const seconds = load + secondsOn(farm, worker, shard)
      if (best === null || seconds < best.seconds) best = { worker, seconds }
    }
  }
  return best
}

function begin(
  farm: FarmState,
  shard: OpenShard,
  { worker, seconds }: { readonly worker: AttachedWorker; readonly seconds: number },
  nowMs: number,
  commands: FarmCommand[],
): void {
  const attempt = ++shard.attempts
  const isSwap = !worker.carries.has(shard.checkpoint)
  shard.hedge = { attempt, workerId: worker.id, sinceMs: nowMs, sequence: null, isTaken: false }
  farm.hedged.add(shard)
  farm.spent.hedgedSeconds += seconds
  worker.assigned.add(shard)
  noteCarried(worker)
  placeWorker(farm, worker)
  countRunning(farm, shard, 1)
  const { batchId, id: shardId } = shard
  commands.push({ type: 'dispatch', batchId, shardId, attempt, workerId: worker.id, isSwap })
  commands.push({ type: 'hedged', batchId, shardId, workerId: worker.id })
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
    if (!isTaken && nowMs - sinceMs > farm.settings.unownedMs) dropHedge(farm, shard, commands)
  }
}
