import { mayPlan } from './approval.ts'
import { Heap } from './heap.ts'
import { keyOf, meets } from './needs.ts'
import type { Needs } from './needs.ts'
import { isAtLimit, isServedBefore } from './tenants.ts'
import type { Tenant } from './tenants.ts'
import type { FarmState, OpenBatch, OpenShard } from './state.ts'
import { countUnplanned } from './unplanned.ts'
import type { Unplanned } from './unplanned.ts'

/**
 * The work that waits, so that the next shard for a worker is found without a search: by what it needs, interactive before the
 * rest, then by tenant, priority, checkpoint and age. Every change is O(log n).
 */
export interface Backlog {
  readonly needs: Needs
  readonly interactive: ClassBacklog
  readonly batch: ClassBacklog
}

export interface ClassBacklog {
  readonly byTenant: Map<Tenant, TenantBacklog>
  /** Those that have something to do and may do it, in the order of fairness. */
  readonly next: Heap<TenantBacklog>
  /** Tenants with shards that want this checkpoint. */
  readonly byCheckpoint: Map<string, Set<TenantBacklog>>
}

export interface TenantBacklog {
  readonly tenant: Tenant
  readonly class: ClassBacklog
  readonly byPriority: Map<number, Level>
  /** Levels that have something to do, the highest priority first. */
  readonly next: Heap<Level>
  /** In how many levels shards want this checkpoint. */
  readonly checkpoints: Map<string, number>
}

/** A tenant's batches of one priority. */
export interface Level {
  readonly priority: number
  readonly backlog: TenantBacklog
  /** Batches that are listed here. */
  batches: number
  /** By checkpoint. */
  readonly demands: Map<string, Demand>
  /** Where one more worker has the most to do. */
  readonly byWork: Heap<Demand>
  /** Where nothing was dispatched for the longest. */
  readonly byWait: Heap<Demand>
  /** Batches that have segments left and are planning none, the oldest first. */
  readonly unplanned: Heap<OpenBatch>
  /** Batches that are planning one. */
  planning: number
  /** Shards that wait, and the estimate of their work. */
  ready: number
  seconds: number
  readonly toPlan: Unplanned
}

/** Shards of a level that want the same checkpoint. */
export interface Demand {
  readonly checkpoint: string
  /** The oldest batch first. */
  readonly queues: Heap<ReadyQueue>
  /** Estimate of the work that waits. */
  seconds: number
  /** `seconds` for each worker that does such work, with one more. */
  secondsEach: number
  servedAtMs: number
}

/** Shards of one batch that want the same checkpoint, in order. */
export interface ReadyQueue {
  readonly batch: OpenBatch
  readonly checkpoint: string
  readonly shards: OpenShard[]
}

/** Has a batch wait for workers, with all that it has to do. */
export function listBatch(farm: FarmState, batch: OpenBatch, nowMs: number): void {
  if (batch.level !== null) return
  const backlog = backlogOf(farm, batch.needs)
  const level = levelOf(batch.isInteractive ? backlog.interactive : backlog.batch, batch.owner, batch.priority)
  level.batches++
  level.planning += Number(batch.isPlanning)
  countUnplanned(level, batch, 1)
  batch.level = level
  for (const queue of batch.ready.values()) {
    joinDemand(level, queue, nowMs)
    for (const shard of queue.shards) count(level, shard, 1)
  }
  offer(batch)
}

/** Takes a batch out: nothing of it starts until it is listed again. */
export function unlistBatch(farm: FarmState, batch: OpenBatch): void {
  const { level } = batch
  if (level === null) return
  level.unplanned.delete(batch)
  for (const queue of batch.ready.values()) {
    for (const shard of queue.shards) count(level, shard, -1)
    leaveDemand(level, queue)
  }
  batch.level = null
  level.batches--
  level.planning -= Number(batch.isPlanning)
  countUnplanned(level, batch, -1)
  refresh(level)
  if (level.batches > 0) return
  const { backlog } = level
  backlog.byPriority.delete(level.priority)
  if (backlog.byPriority.size > 0) return
  backlog.class.byTenant.delete(backlog.tenant)
  backlog.tenant.backlogs.delete(backlog)
  closeBacklog(farm, batch.needs)
}

/** After a change of what is left to plan. */
export function offer(batch: OpenBatch): void {
  const { level } = batch
  if (level === null) return
  if (mayPlan(batch)) level.unplanned.put(batch)
  else level.unplanned.delete(batch)
  refresh(level)
}

export function setPlanning(batch: OpenBatch, isPlanning: boolean): void {
  const change = Number(isPlanning) - Number(batch.isPlanning)
  batch.isPlanning = isPlanning
  if (batch.level !== null) batch.level.planning += change
  offer(batch)
}

/** Has a shard wait: the next of its batch, or behind the others. */
export function addReady(batch: OpenBatch, shard: OpenShard, nowMs: number, isNext: boolean): void {
  const { checkpoint } = shard
  let queue = batch.ready.get(checkpoint)
  if (queue === undefined) {
    queue = { batch, checkpoint, shards: [] }
    batch.ready.set(checkpoint, queue)
    if (batch.level !== null) joinDemand(batch.level, queue, nowMs)
  }
  if (isNext) queue.shards.unshift(shard)
  else queue.shards.push(shard)
  batch.readyShards++
  if (batch.level !== null) count(batch.level, shard, 1)
}

export function removeReady(batch: OpenBatch, shard: OpenShard): void {
  const queue = batch.ready.get(shard.checkpoint)!
  if (queue.shards[0] === shard) queue.shards.shift()
  else queue.shards.splice(queue.shards.indexOf(shard), 1)
  batch.readyShards--
  if (batch.level !== null) count(batch.level, shard, -1)
  if (queue.shards.length === 0) {
    batch.ready.delete(shard.checkpoint)
    if (batch.level !== null) leaveDemand(batch.level, queue)
  }
}

/** After a dispatch: the demand does not wait any more, and has a worker more. */
export function noteServed(level: Level, checkpoint: string, nowMs: number): void {
  const demand = level.demands.get(checkpoint)
  if (demand === undefined) return
  demand.servedAtMs = nowMs
  level.byWait.put(demand)
  weigh(level, demand)
}

/** After a change of a tenant's service, terms or running shards. */
export function placeTenant(tenant: Tenant): void {
  for (const backlog of tenant.backlogs) place(backlog)
}

function place(backlog: TenantBacklog): void {
  if (backlog.next.size > 0 && !isAtLimit(backlog.tenant)) backlog.class.next.put(backlog)
  else backlog.class.next.delete(backlog)
}

function refresh(level: Level): void {
  // With nothing in hand it waits for its plan, and others have their turn.
  if (level.ready > 0 || (level.unplanned.size > 0 && level.planning === 0)) level.backlog.next.put(level)
  else level.backlog.next.delete(level)
  place(level.backlog)
}

function count(level: Level, shard: OpenShard, sign: 1 | -1): void {
  const demand = level.demands.get(shard.checkpoint)!
  level.ready += sign
  level.seconds += sign * shard.seconds
  demand.seconds += sign * shard.seconds
  weigh(level, demand)
  if (level.ready === 0 || (level.ready === 1 && sign === 1)) refresh(level)
}

function weigh(level: Level, demand: Demand): void {
  const running = level.backlog.tenant.runningOf.get(demand.checkpoint) ?? 0
  demand.secondsEach = demand.seconds / (running + 1)
  level.byWork.put(demand)
}

function joinDemand(level: Level, queue: ReadyQueue, nowMs: number): void {
  const { checkpoint } = queue
  let demand = level.demands.get(checkpoint)
  if (demand === undefined) {
    demand = { checkpoint, queues: new Heap(isOlderQueue), seconds: 0, secondsEach: 0, servedAtMs: nowMs }
    level.demands.set(checkpoint, demand)
    level.byWait.put(demand)
    noteCheckpoint(level.backlog, checkpoint, 1)
  }
  demand.queues.put(queue)
}

function leaveDemand(level: Level, queue: ReadyQueue): void {
  const demand = level.demands.get(queue.checkpoint)!
  demand.queues.delete(queue)
  if (demand.queues.size > 0) return
  level.demands.delete(queue.checkpoint)
  level.byWait.delete(demand)
  level.byWork.delete(demand)
  noteCheckpoint(level.backlog, queue.checkpoint, -1)
}

function noteCheckpoint(backlog: TenantBacklog, checkpoint: string, sign: 1 | -1): void {
  const { byCheckpoint } = backlog.class
  const levels = (backlog.checkpoints.get(checkpoint) ?? 0) + sign
  const tenants = byCheckpoint.get(checkpoint) ?? new Set()
  if (levels > 0) {
    backlog.checkpoints.set(checkpoint, levels)
    byCheckpoint.set(checkpoint, tenants.add(backlog))
    return
  }
  backlog.checkpoints.delete(checkpoint)
  tenants.delete(backlog)
  if (tenants.size === 0) byCheckpoint.delete(checkpoint)
}

function backlogOf(farm: FarmState, needs: Needs): Backlog {
  const key = keyOf(needs)
  let backlog = farm.backlogs.get(key)
  if (backlog === undefined) {
    backlog = { needs, interactive: createClass(), batch: createClass() }
    farm.backlogs.set(key, backlog)
    for (const profile of farm.profiles.values()) if (meets(profile.offer, needs)) profile.backlogs.add(backlog)
  }
  return backlog
}

function closeBacklog(farm: FarmState, needs: Needs): void {
  const key = keyOf(needs)
  const backlog = farm.backlogs.get(key)!
  if (backlog.interactive.byTenant.size + backlog.batch.byTenant.size > 0) return
  farm.backlogs.delete(key)
  for (const profile of farm.profiles.values()) profile.backlogs.delete(backlog)
}

function createClass(): ClassBacklog {
  const next = new Heap<TenantBacklog>((a, b) => isServedBefore(a.tenant, b.tenant))
  return { byTenant: new Map(), next, byCheckpoint: new Map() }
}

function levelOf(ofClass: ClassBacklog, tenant: Tenant, priority: number): Level {
  let backlog = ofClass.byTenant.get(tenant)
  if (backlog === undefined) {
    const next = new Heap<Level>((a, b) => a.priority > b.priority)
    backlog = { tenant, class: ofClass, byPriority: new Map(), next, checkpoints: new Map() }
    ofClass.byTenant.set(tenant, backlog)
    tenant.backlogs.add(backlog)
  }
  let level = backlog.byPriority.get(priority)
  if (level === undefined) {
    level = {
      priority,
      backlog,
      batches: 0,
      demands: new Map(),
      byWork: new Heap((a, b) => a.secondsEach > b.secondsEach),
      byWait: new Heap((a, b) => a.servedAtMs < b.servedAtMs),
      unplanned: new Heap(isOlder),
      planning: 0,
      ready: 0,
      seconds: 0,
      toPlan: { segments: 0, seconds: 0, unknown: 0 },
    }
    backlog.byPriority.set(priority, level)
  }
  return level
}

function isOlder(a: OpenBatch, b: OpenBatch): boolean {
  return a.createdAtMs === b.createdAtMs ? a.id < b.id : a.createdAtMs < b.createdAtMs
}

function isOlderQueue(a: ReadyQueue, b: ReadyQueue): boolean {
  return isOlder(a.batch, b.batch)
}
