import { noteServed, removeReady } from './backlog.ts'
import type { ClassBacklog, Demand, Level, TenantBacklog } from './backlog.ts'
import { planNext } from './batch-life.ts'
import { charge } from './fairness.ts'
import type { FarmCommand } from './messages.ts'
import { assignShard, moveShard } from './move-shard.ts'
import { meets } from './needs.ts'
import { secondsOn } from './pace.ts'
import { INTERACTIVE_PLACES } from './slots.ts'
import type { FreeWorkers, Profile } from './slots.ts'
import type { AttachedWorker, FarmState, OpenShard } from './state.ts'
import { swapSeconds } from './swaps.ts'
import { isOverCap, isServedBefore } from './tenants.ts'

/** Segments of a level: each holds up to a thousand shards, and sizes are to follow what is learned. */
const PLANNING_AT_ONCE = 8

/** How many shards are looked at for one that suits the worker. */
const LOOK_BEHIND = 32
/** How many workers are looked at for a quick one. */
const WORKERS_LOOKED_AT = 8
/** Workers that take between so much and the inverse of what is usual are neither quick nor slow. */
const SAME_PACE = 0.9

/** A worker, and what it is to do. */
interface Match {
  readonly worker: AttachedWorker
  readonly level: Level
  readonly demand: Demand
}

/** Where the next shard comes from, and who could take it. */
interface Turn {
  readonly farm: FarmState
  readonly free: FreeWorkers
  readonly ofClass: ClassBacklog
  readonly backlog: TenantBacklog
  /** Shards that the workers have been given already. */
  readonly depth: number
  readonly nowMs: number
}

/**
 * Dispatches while workers have room, idle ones first. Each shard is found from the heads of a few indices, however many wait:
 * its class, then its tenant by fairness, its priority, its checkpoint by where it is loaded, the age of its batch.
 * Segments are planned no further ahead than that.
 */
export function fill(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  if (nowMs < farm.dispatchFromMs || farm.backlogs.size === 0) return
  for (let depth = 0; depth < farm.settings.window + INTERACTIVE_PLACES; depth++) {
    for (const profile of farm.profiles.values()) while (fillOne(farm, profile, depth, nowMs, commands));
  }
}

/** @returns whether anything was done */
function fillOne(farm: FarmState, profile: Profile, depth: number, nowMs: number, commands: FarmCommand[]): boolean {
  const free = profile.free[depth]!
  if (free.all.size === 0) return false
  const next = nextBacklog(farm, profile, depth)
  if (next === null) return false
  farm.virtualTime = Math.max(farm.virtualTime, next.backlog.tenant.service)
  const level = next.backlog.next.first!
  if (planAhead(farm, level, commands)) return true
  const match = findMatch({ farm, free, ...next, depth, nowMs })
  if (match === null) return false
  dispatch(farm, match, nowMs, commands)
  return true
}

/** Interactive work first, which has places of its own beyond the window; then whose turn it is among tenants with work for these workers. */
function nextBacklog(
  farm: FarmState,
  profile: Profile,
  depth: number,
): { ofClass: ClassBacklog; backlog: TenantBacklog } | null {
  for (const name of depth < farm.settings.window ? (['interactive', 'batch'] as const) : (['interactive'] as const)) {
    let best: { ofClass: ClassBacklog; backlog: TenantBacklog } | null = null
    for (const { [name]: ofClass } of profile.backlogs) {
      const backlog = ofClass.next.first
      if (backlog !== undefined && (best === null || isBefore(backlog, best.backlog))) best = { ofClass, backlog }
    }
    if (best !== null) return best
  }
  return null
}

/** Of one tenant, whatever its work needs, the higher priority. */
function isBefore(a: TenantBacklog, b: TenantBacklog): boolean {
  if (a.tenant === b.tenant) return a.next.first!.priority > b.next.first!.priority
  return isServedBefore(a.tenant, b.tenant)
}

/** Plans a segment of the level's oldest batch that has any left, unless a shard is in sight for every worker. */
function planAhead(farm: FarmState, level: Level, commands: FarmCommand[]): boolean {
  const batch = level.unplanned.first
  const inSight = level.ready + level.planning
  if (batch === undefined || inSight >= farm.taking.size || level.planning >= PLANNING_AT_ONCE) return false
  planNext(farm, batch, false, commands)
  return true
}

/**
 * A checkpoint that was passed over for too long comes first. Else a worker keeps what it has: for the tenant whose turn it is,
 * or for one that is ahead of it by less than a load takes. Else another worker that has what most is to be done for. Else it
 * loads that: at once where it is idle, and ahead of time where the work is worth a load.
 */
function findMatch({ farm, free, ofClass, backlog, depth, nowMs }: Turn): Match | null {
  const level = backlog.next.first!
  const worker = quickest(free.all)!
  const waiting = level.byWait.first!
  if (nowMs - waiting.servedAtMs > farm.settings.starvationMs)
    return { worker: carrierOf(free, waiting) ?? worker, level, demand: waiting }
  const kept = carriedDemand(level, worker)
  if (kept !== null) return { worker, level, demand: kept }
  const demand = level.byWork.first!
  const carrier = carrierOf(free, demand)
  if (carrier !== null) return { worker: carrier, level, demand }
  const loadSeconds = swapSeconds(farm.swaps)
  const other = nearlyNext(ofClass, backlog, worker, loadSeconds)
  if (other !== null) return other
  return depth === 0 || demand.secondsEach >= loadSeconds ? { worker, level, demand } : null
}

function carrierOf(free: FreeWorkers, demand: Demand): AttachedWorker | null {
  const carriers = free.byCheckpoint.get(demand.checkpoint)
  return carriers === undefined ? null : quickest(carriers)
}

/** Of the few that have waited for the longest. */
function quickest(workers: ReadonlySet<AttachedWorker>): AttachedWorker | null {
  let best: AttachedWorker | null = null
  for (const worker of workers.values().take(WORKERS_LOOKED_AT))
    if (best === null || worker.slowness < best.slowness) best = worker
  return best
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
): Match | null {
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
 * A shard of the oldest batch: of the next few a long one for a quick worker and a short one for a slow one, so that all end
 * together. One that the worker has failed already is for another, or waits behind others.
 */
function choose(farm: FarmState, { worker, demand }: Match): { worker: AttachedWorker; shard: OpenShard } {
  const next = demand.queues.first!.shards.slice(0, LOOK_BEHIND)
  const untried = next.filter(({ failedOn }) => !failedOn.includes(worker.id))
  if (untried.length > 0) return { worker, shard: fitting(farm, worker, untried) }
  const shard = next[0]!
  return { worker: untriedWorker(farm, shard) ?? worker, shard }
}

/** One that has not failed the shard, with as much room as there is; it may be given one more than the others. */
function untriedWorker(farm: FarmState, { batchId, failedOn }: OpenShard): AttachedWorker | null {
  const { needs } = farm.batches.get(batchId)!
  const profiles = [...farm.profiles.values()].filter(({ offer }) => meets(offer, needs))
  for (let depth = 0; depth <= farm.settings.window; depth++) {
    for (const { free } of profiles) {
      const found = free[depth]!.all.values().find(({ id }) => !failedOn.includes(id))
      if (found !== undefined) return found
    }
  }
  return null
}

function fitting(farm: FarmState, worker: AttachedWorker, shards: readonly OpenShard[]): OpenShard {
  const pace = secondsOn(farm, worker, shards[0]!) / shards[0]!.seconds
  if (pace > 1 / SAME_PACE) return shards.reduce((a, b) => (b.seconds < a.seconds ? b : a))
  if (pace < SAME_PACE) return shards.reduce((a, b) => (b.seconds > a.seconds ? b : a))
  return shards[0]!
}

function dispatch(farm: FarmState, match: Match, nowMs: number, commands: FarmCommand[]): void {
  const { worker, shard } = choose(farm, match)
  giveTo(farm, worker, shard, nowMs, commands)
}

/** Dispatches a shard that waits to this worker. */
export function giveTo(
  farm: FarmState,
  worker: AttachedWorker,
  shard: OpenShard,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const { batchId, id: shardId, checkpoint, work } = shard
  const batch = farm.batches.get(batchId)!
  const isSwap = !worker.carries.has(checkpoint)
  removeReady(batch, shard)
  moveShard(farm, shard, 'dispatching')
  assignShard(farm, shard, worker.id)
  const { deviceKind } = worker.profile.offer
  charge(batch.owner, shard, farm.costs.seconds({ checkpoint, deviceKind }, work))
  noteServed(batch.level!, checkpoint, nowMs)
  const attempt = ++shard.attempts
  shard.attempt = attempt
  const { failures: failedAttempts } = shard
  commands.push({ type: 'dispatch', batchId, shardId, attempt, failedAttempts, workerId: worker.id, isSwap })
}
