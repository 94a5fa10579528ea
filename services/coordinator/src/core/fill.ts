import { noteServed, removeReady } from './backlog.ts'
import type { ClassBacklog, Level, TenantBacklog } from './backlog.ts'
import { planNext } from './batch-life.ts'
import { charge } from './fairness.ts'
import { findMatch, isKeptFree } from './match.ts'
import type { FarmCommand } from './messages.ts'
import { assignShard, moveShard } from './move-shard.ts'
import { INTERACTIVE_PLACES } from './slots.ts'
import type { Profile } from './slots.ts'
import type { AttachedWorker, FarmState, OpenShard } from './state.ts'
import { isServedBefore } from './tenants.ts'

/** Segments of a level: each holds up to a thousand shards, and sizes are to follow what is learned. */
const PLANNING_AT_ONCE = 8
/** Tenants, and levels of each, that are looked at for work that a worker should take. */
const TENANTS_LOOKED_AT = 8
const LEVELS_LOOKED_AT = 2

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
  for (const { ofClass, backlog } of turns(farm, profile, depth)) {
    for (const level of backlog.next.inOrder().take(LEVELS_LOOKED_AT)) {
      if (planAhead(farm, level, commands)) return true
      const turn = { farm, free, ofClass, backlog, level, depth, nowMs }
      const match = findMatch(turn)
      if (match !== null) {
        giveTo(farm, match.worker, match.shard, nowMs, commands)
        return true
      }
      if (isKeptFree(turn)) return false
    }
  }
  return false
}

/** Whose work is next. */
interface Turn {
  readonly ofClass: ClassBacklog
  readonly backlog: TenantBacklog
}

/** Who is served next. Where nothing of the first is worth a worker's while, it is the next one's turn. */
function* turns(farm: FarmState, profile: Profile, depth: number): Generator<Turn> {
  // Interactive work first, which has places of its own beyond the window.
  for (const name of depth < farm.settings.window ? (['interactive', 'batch'] as const) : (['interactive'] as const)) {
    let first: Turn | null = null
    for (const { [name]: ofClass } of profile.backlogs) {
      const backlog = ofClass.next.first
      if (backlog !== undefined && (first === null || isBefore(backlog, first.backlog))) first = { ofClass, backlog }
    }
    if (first === null) continue
    farm.virtualTime = Math.max(farm.virtualTime, first.backlog.tenant.service)
    yield first
    const others = [...profile.backlogs].flatMap(({ [name]: ofClass }) =>
      [...ofClass.next.inOrder().take(TENANTS_LOOKED_AT)].map((backlog) => ({ ofClass, backlog })),
    )
    for (const other of others.toSorted(order)) if (other.backlog !== first.backlog) yield other
  }
}

function order(a: Turn, b: Turn): number {
  return Number(isBefore(b.backlog, a.backlog)) - Number(isBefore(a.backlog, b.backlog))
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
