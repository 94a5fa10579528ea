import { giveTo } from './fill.ts'
import { beginHedge } from './hedge.ts'
import { callOff } from './hold-shard.ts'
import { isHeldBack } from './hold-back.ts'
import type { FarmCommand } from './messages.ts'
import { meets } from './needs.ts'
import { secondsOn } from './pace.ts'
import { redispatch } from './retry.ts'
import type { AttachedWorker, FarmState, OpenBatch, OpenShard } from './state.ts'
import { swapSeconds } from './swaps.ts'
import { isAtLimit } from './tenants.ts'

/** Of what was committed, what second attempts may cost in vain. */
const BUDGET = 0.015
/** What a shard must still take where it is, over what it would take elsewhere: to be taken over, and to be rendered twice. */
const GAIN = { takeOver: 1.25, hedge: 2 }
/** Stragglers at each tick, and idle workers for each of them: with the checkpoint, and without. */
const LOOKED_AT = 512
const HELPERS_LOOKED_AT = 16

interface Straggler {
  readonly batch: OpenBatch
  readonly shard: OpenShard
  readonly secondsLeft: number
  /** Whether its worker has made a step of it. */
  readonly isBegun: boolean
}

/**
 * Gives what will be done last to workers that have nothing to do and are expected to be done with it sooner. A shard that waits
 * behind others is taken away from its worker; one that is rendered goes on where it is too, and the first record counts.
 */
export function helpStragglers(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  if (nowMs < farm.dispatchFromMs || farm.profiles.values().every(({ free }) => free[0]!.all.size === 0)) return
  for (const { batch, shard, secondsLeft, isBegun } of stragglers(farm, nowMs)) {
    const helper = findHelper(farm, batch, shard)
    if (helper === null || helper.seconds * (isBegun ? GAIN.hedge : GAIN.takeOver) > secondsLeft) continue
    if (!isBegun) takeOver(farm, batch, shard, helper.worker, nowMs, commands)
    else {
      // Either what the helper does is lost, or what the first worker has done by then.
      const cost = helper.seconds + (nowMs - (shard.firstSteps?.atMs ?? nowMs)) / 1000
      if (cost <= BUDGET * farm.spent.committedSeconds - farm.spent.hedgedSeconds)
        beginHedge(farm, shard, helper.worker, cost, nowMs, commands)
    }
  }
}

/** What is expected to be done last: shards that wait behind others, and any of batches that have nothing else left. */
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
      if (!batch.isActive || shard.hedge !== null || isHeldBack(batch, shard.items)) continue
      const isLast = batch.readyShards === 0 && batch.nextSegment === batch.segmentCount && !batch.isPlanning
      const isBegun = running === worker.snapshot.running[0] || running.stepsDone > running.stepsResumed
      if (isLast || !isBegun) found.push({ batch, shard, secondsLeft: before, isBegun })
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

/** Of the idle workers that are looked at, the one that would be done first. */
function findHelper(
  farm: FarmState,
  { owner, needs }: OpenBatch,
  shard: OpenShard,
): { readonly worker: AttachedWorker; readonly seconds: number } | null {
  if (isAtLimit(owner)) return null
  let best: { readonly worker: AttachedWorker; readonly seconds: number } | null = null
  for (const { offer, free } of farm.profiles.values()) {
    if (!meets(offer, needs)) continue
    const { all, byCheckpoint } = free[0]!
    const carriers = byCheckpoint.get(shard.checkpoint)?.values() ?? [].values()
    for (const worker of [...carriers.take(HELPERS_LOOKED_AT), ...all.values().take(HELPERS_LOOKED_AT)]) {
      if (worker.id === shard.workerId || shard.failedOn.includes(worker.id)) continue
      const load = worker.carries.has(shard.checkpoint) ? 0 : swapSeconds(farm.swaps)
      const seconds = load + secondsOn(farm, worker, shard)
      if (best === null || seconds < best.seconds) best = { worker, seconds }
    }
  }
  return best
}

function takeOver(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  helper: AttachedWorker,
  nowMs: number,
  commands: FarmCommand[],
): void {
  callOff(shard, { workerId: shard.workerId!, attempt: shard.attempt }, commands)
  redispatch(farm, batch, shard, 'rebalanced', nowMs, commands)
  giveTo(farm, helper, shard, nowMs, commands)
}
