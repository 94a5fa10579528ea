import type { ClassBacklog, Demand, Level, TenantBacklog } from './backlog.ts'
import { meets } from './needs.ts'
import { isDoneSooner } from './outlook.ts'
import type { FreeWorkers } from './slots.ts'
import type { AttachedWorker, FarmState, OpenShard } from './state.ts'
import { swapSeconds } from './swaps.ts'
import { isOverCap } from './tenants.ts'
import { waitingIn } from './unplanned.ts'

/** How many shards are looked at for one that suits the worker: the last of all work, but for the largest farms. */
const LOOK_BEHIND = 1024
/** Checkpoints that workers have and that are looked at for work. */
const DEMANDS_LOOKED_AT = 8

/** Where the next shard comes from, and who could take it. */
interface Turn {
  readonly farm: FarmState
  readonly free: FreeWorkers
  readonly ofClass: ClassBacklog
  readonly backlog: TenantBacklog
  readonly level: Level
  /** Shards that the workers have been given already. */
  readonly depth: number
  readonly nowMs: number
}

/** A worker, and what it could do next. */
interface Option {
  readonly worker: AttachedWorker
  readonly level: Level
  readonly demand: Demand
  /** Whoever else would be done with it sooner. */
  readonly isDue?: boolean
}

/** A worker, and what it is to do. */
export interface Match {
  readonly worker: AttachedWorker
  readonly shard: OpenShard
}

/** What a worker is to do next. Null where all that waits is left to others, who are done with it sooner. */
export function findMatch(turn: Turn): Match | null {
  for (const option of options(turn)) {
    const match = choose(turn, option)
    if (match !== null) return match
  }
  return null
}

/**
 * A checkpoint that was passed over for too long comes first. Else a worker keeps what it has: for the tenant whose turn it is,
 * or for one that is ahead of it by less than a load takes. Else another worker that has what most is to be done for. Else it
 * loads that: at once where it is idle, and ahead of time where the work is worth a load.
 */
function* options(turn: Turn): Generator<Option> {
  const { farm, free, ofClass, backlog, level, nowMs } = turn
  const worker = free.all.first!
  const waiting = level.byWait.first
  if (waiting === undefined) return
  if (nowMs - waiting.servedAtMs > farm.settings.starvationMs)
    yield { worker: carrierOf(free, waiting) ?? worker, level, demand: waiting, isDue: true }
  const kept = carriedDemand(level, worker)
  if (kept !== null) yield { worker, level, demand: kept }
  const demand = level.byWork.first!
  const carrier = carrierOf(free, demand)
  if (carrier !== null) yield { worker: carrier, level, demand }
  const other = nearlyNext(ofClass, backlog, worker, swapSeconds(farm.swaps))
  if (other !== null) yield other
  if (!isKeptFree(turn)) yield { worker, level, demand }
  for (const less of level.byWork.inOrder().take(DEMANDS_LOOKED_AT)) {
    const having = carrierOf(free, less)
    if (having !== null) yield { worker: having, level, demand: less }
  }
}

/** Whether the next worker's place stays free for work that is worth a load only once the worker idles: nothing else may take it. */
export function isKeptFree({ farm, free, level, depth }: Turn): boolean {
  const demand = level.byWork.first
  if (depth === 0 || demand === undefined || free.all.first!.carries.has(demand.checkpoint)) return false
  return demand.secondsEach < swapSeconds(farm.swaps)
}

function carrierOf(free: FreeWorkers, { checkpoint }: Demand): AttachedWorker | null {
  return free.byCheckpoint.get(checkpoint)?.first ?? null
}

function carriedDemand(level: Level, worker: AttachedWorker): Demand | null {
  let best: Demand | null = null
  for (const checkpoint of worker.carries) {
    const demand = level.demands.get(checkpoint)
    if (demand !== undefined && (best === null || demand.servedAtMs < best.servedAtMs)) best = demand
  }
  return best
}

/** Work of another tenant for what the worker has, where its turn comes within `slackSeconds` of service. */
function nearlyNext(
  ofClass: ClassBacklog,
  { tenant }: TenantBacklog,
  worker: AttachedWorker,
  slackSeconds: number,
): Option | null {
  for (const checkpoint of worker.carries) {
    const backlogs = ofClass.byCheckpoint.get(checkpoint)
    const other = backlogs?.values().next().value
    if (other === undefined) continue
    // The next time it is another's turn to be looked at.
    backlogs!.delete(other)
    backlogs!.add(other)
    const level = other.next.first
    const demand = level?.demands.get(checkpoint)
    if (level === undefined || demand === undefined || !ofClass.next.has(other)) continue
    const isNear =
      other.tenant.service - tenant.service <= slackSeconds && isOverCap(other.tenant) === isOverCap(tenant)
    if (isNear) return { worker, level, demand }
  }
  return null
}

/**
 * A shard of the oldest batch that this worker is done with sooner than others: the next one, or, once all is planned, the longest, so
 * that all workers end together. One that the worker has failed already is for another, or waits behind others.
 */
function choose({ farm, nowMs }: Turn, { worker, level, demand, isDue = false }: Option): Match | null {
  const { batch, shards } = demand.queues.first!
  const first = shards.find((shard, index) => index < LOOK_BEHIND && mayTry(worker, shard))
  if (first === undefined) return { worker: untriedWorker(farm, shards[0]!) ?? worker, shard: shards[0]! }
  if (isDue || batch.isInteractive) return { worker, shard: first }
  const waiting = waitingIn(level, demand)
  const isWorthIt = (shard: OpenShard): boolean => isDoneSooner(farm, { worker, shard }, batch.needs, waiting, nowMs)
  if (level.toPlan.segments > 0 && isWorthIt(first)) return { worker, shard: first }
  const near = shards.slice(0, LOOK_BEHIND)
  let [shortest, longest] = [first, first]
  for (const shard of near) {
    if (shard.seconds < shortest.seconds && mayTry(worker, shard)) shortest = shard
    else if (shard.seconds > longest.seconds && mayTry(worker, shard)) longest = shard
  }
  if (isWorthIt(longest)) return { worker, shard: longest }
  if (!isWorthIt(shortest)) return null
  const untried = near.filter((shard) => mayTry(worker, shard))
  return { worker, shard: longestOf(untried, [shortest, longest], isWorthIt) }
}

function mayTry({ id }: AttachedWorker, { failedOn }: OpenShard): boolean {
  return !failedOn.includes(id)
}

/** The longest that is worth it, found by halves: what takes longer is worth it less. */
function longestOf(
  shards: readonly OpenShard[],
  [shortest, longest]: readonly [OpenShard, OpenShard],
  isWorthIt: (shard: OpenShard) => boolean,
): OpenShard {
  let [best, tooLong] = [shortest, longest]
  for (;;) {
    const middle = (best.seconds + tooLong.seconds) / 2
    let next: OpenShard | null = null
    for (const shard of shards) {
      if (shard.seconds <= best.seconds || shard.seconds >= tooLong.seconds) continue
      if (next === null || Math.abs(shard.seconds - middle) < Math.abs(next.seconds - middle)) next = shard
    }
    if (next === null) return best
    if (isWorthIt(next)) best = next
    else tooLong = next
  }
}

/** One that has not failed the shard, with as much room as there is; it may be given one more than the others. */
function untriedWorker(farm: FarmState, { batchId, failedOn }: OpenShard): AttachedWorker | null {
  const { needs } = farm.batches.get(batchId)!
  const profiles = [...farm.profiles.values()].filter(({ offer }) => meets(offer, needs))
  for (let depth = 0; depth <= farm.settings.window; depth++) {
    for (const { free } of profiles) {
      const found = free[depth]!.all.inOrder().find(({ id }) => !failedOn.includes(id))
      if (found !== undefined) return found
    }
  }
  return null
}
