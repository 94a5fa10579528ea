import { giveTo } from './fill.ts'
import { beginHedge } from './hedge.ts'
import { callOff } from './hold-shard.ts'
import { isHeldBack } from './hold-back.ts'
import type { FarmCommand } from './messages.ts'
import { meets } from './needs.ts'
import { isDoneSooner } from './outlook.ts'
import type { Waiting } from './outlook.ts'
import { secondsLeft, secondsOn } from './pace.ts'
import { redispatch } from './retry.ts'
import type { AttachedWorker, FarmState, OpenBatch, OpenShard } from './state.ts'
import { swapSeconds } from './swaps.ts'
import { isAtLimit } from './tenants.ts'

/** Of what was committed, what second attempts may cost in vain. */
const BUDGET = 0.015
/** What a shard must still take where it is, over what it would take elsewhere: to be taken over, and to be rendered twice. */
const GAIN = { takeOver: 1.25, hedge: 2 }
/** Stragglers at each tick. */
const LOOKED_AT = 512
/** What was dispatched more recently may have been taken by its worker, which has not yet had time to tell. */
const SETTLED_MS = 2_000

interface Straggler {
  readonly batch: OpenBatch
  readonly shard: OpenShard
  readonly secondsLeft: number
  /** Whether its worker has made a step of it. */
  readonly isBegun: boolean
}

/**
 * Gives what will be done last to workers that have nothing to do and are expected to be done with it sooner. A shard that waits
 * behind others, in its worker's hands or queue, is taken away from it; one that is rendered goes on where it is too, and the first record counts.
 */
export function helpStragglers(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  if (nowMs < farm.dispatchFromMs || farm.profiles.values().every(({ free }) => free[0]!.all.size === 0)) return
  const found = stragglers(farm, nowMs)
  // What costs least first: neither a load nor work in vain.
  for (const isBegun of [false, true]) {
    let left = found.filter((straggler) => straggler.isBegun === isBegun)
    const seconds = isBegun ? 0 : left.reduce((sum, { shard }) => sum + shard.seconds, 0)
    const waiting = { seconds, secondsOfCheckpoint: seconds }
    for (const mayLoad of [false, true])
      left = left.filter((straggler) => !isHelped(farm, straggler, mayLoad, waiting, nowMs, commands))
  }
}

function isHelped(
  farm: FarmState,
  { batch, shard, secondsLeft, isBegun }: Straggler,
  mayLoad: boolean,
  waiting: Waiting,
  nowMs: number,
  commands: FarmCommand[],
): boolean {
  const helper = findHelper(farm, batch, shard, mayLoad)
  if (helper === null || helper.seconds * (isBegun ? GAIN.hedge : GAIN.takeOver) > secondsLeft) return false
  if (!isDoneSooner(farm, { worker: helper.worker, shard }, batch.needs, waiting, nowMs)) return false
  if (!isBegun) takeOver(farm, batch, shard, helper.worker, nowMs, commands)
  else {
    // Either what the helper does is lost, or what the first worker has done by then.
    const cost = helper.seconds + (nowMs - (shard.firstSteps?.atMs ?? nowMs)) / 1000
    if (cost > BUDGET * farm.spent.committedSeconds - farm.spent.hedgedSeconds) return false
    beginHedge(farm, shard, helper.worker, cost, nowMs, commands)
  }
  return true
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
      before += secondsLeft(farm, worker, shard, running, nowMs)
      if (!mayMove(batch, shard)) continue
      const isLast = batch.readyShards === 0 && batch.nextSegment === batch.segmentCount && !batch.isPlanning
      const isBegun = running === worker.snapshot.running[0] || running.stepsDone > running.stepsResumed
      if (isLast || !isBegun) found.push({ batch, shard, secondsLeft: before, isBegun })
    }
    // What it runs may be over for everybody else, and not yet for itself.
    if (worker.assigned.size < 2 && worker.running.size === 0) continue
    for (const shard of worker.assigned) {
      if (shard.assignedTo !== worker.id || !farm.unowned.has(shard)) continue
      before += secondsOn(farm, worker, shard)
      const batch = farm.batches.get(shard.batchId)!
      const waitedMs = nowMs - shard.unownedSinceMs
      if (waitedMs <= SETTLED_MS || !mayMove(batch, shard)) continue
      // What its worker does meanwhile may be nothing that is known here: as long again as it has waited.
      found.push({ batch, shard, secondsLeft: before + waitedMs / 1000, isBegun: false })
    }
  }
  return found.toSorted((a, b) => b.secondsLeft - a.secondsLeft).slice(0, LOOKED_AT)
}

function mayMove(batch: OpenBatch, { state, hedge, items }: OpenShard): boolean {
  // One that is ending, since all of it is cancelled, its worker may still report.
  return batch.isActive && state !== 'ending' && hedge === null && !isHeldBack(batch, items)
}

/** Of the idle workers, the one that would be done first: of those that have the checkpoint, or of all. */
function findHelper(
  farm: FarmState,
  { owner, needs }: OpenBatch,
  shard: OpenShard,
  mayLoad: boolean,
): { readonly worker: AttachedWorker; readonly seconds: number } | null {
  if (isAtLimit(owner)) return null
  let best: { readonly worker: AttachedWorker; readonly seconds: number } | null = null
  for (const { offer, free } of farm.profiles.values()) {
    if (!meets(offer, needs)) continue
    const { all, byCheckpoint } = free[0]!
    const worker = (mayLoad ? all : byCheckpoint.get(shard.checkpoint))
      ?.inOrder()
      .find(({ id }) => id !== shard.assignedTo && !shard.failedOn.includes(id))
    if (worker === undefined) continue
    const load = worker.carries.has(shard.checkpoint) ? 0 : swapSeconds(farm.swaps)
    const seconds = load + secondsOn(farm, worker, shard)
    if (best === null || seconds < best.seconds) best = { worker, seconds }
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
  if (shard.workerId !== null) callOff(shard, { workerId: shard.workerId, attempt: shard.attempt }, commands)
  redispatch(farm, batch, shard, 'rebalanced', nowMs, commands)
  giveTo(farm, helper, shard, nowMs, commands)
}
