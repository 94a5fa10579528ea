import { addReady, listBatch, offer, setPlanning, unlistBatch } from './backlog.ts'
import { cancelShard, endIfCancelled } from './cancel-shard.ts'
import { addCounts } from './counts.ts'
import { catchUp, tenantOf } from './fairness.ts'
import { isHeldBack, queueHeld, waitsForSomebody } from './hold-back.ts'
import { learnCosts } from './learn-costs.ts'
import type { FarmCommand, FarmEvent, SegmentSummary } from './messages.ts'
import { completeSegment, emptyTally, noteOpened, noteResult, tallyOf } from './segments.ts'
import { setPlan } from './unplanned.ts'
import type { FarmState, OpenBatch, OpenShard, ShardResult, ShardSummary } from './state.ts'
import { addTally } from './tally.ts'

type EventOf<T extends FarmEvent['type']> = Extract<FarmEvent, { type: T }>

export function openBatch(
  farm: FarmState,
  event: EventOf<'batchOpened'>,
  nowMs: number,
  commands: FarmCommand[],
): void {
  if (farm.batches.has(event.batch.id)) return
  const completed = event.completed === null ? emptyTally() : tallyOf(event.completed)
  const batch: OpenBatch = {
    ...event.batch,
    owner: tenantOf(farm, event.batch.tenant),
    isActive: false,
    state: 'queued',
    segmentCount: event.segmentCount,
    nextSegment: event.completed?.plannedSegments ?? 0,
    segmentSeconds: null,
    isPlanning: false,
    ready: new Map(),
    readyShards: 0,
    heldShards: 0,
    endingShards: 0,
    level: null,
    open: new Map(),
    endedShards: completed.shards,
    ...completed.counts,
    schedulers: new Map(completed.schedulers),
    openSegments: new Map(),
    completed,
    savedShards: completed.shards,
    savedAtMs: nowMs,
    startedAtMs: event.startedAtMs,
    rateSinceMs: null,
    recent: [],
  }
  farm.batches.set(batch.id, batch)
  for (const { checkpoint, work, result } of event.measured)
    learnCosts(farm, { checkpoint, deviceKind: null }, work, result)
  for (const [segment, summary] of event.segments) takeSegment(farm, batch, segment, summary, nowMs, commands)
  const isClosed = event.segments.values().some((segment) => segment.isClosed === true)
  if (event.isCancelled || isClosed) return cancelBatch(farm, batch, commands)
  activate(farm, batch, nowMs)
  settle(farm, batch, commands)
}

/** Another plan of the same segment, by another leader or a repeated effect, is the same plan: the stored one counts. */
export function addSegment(
  farm: FarmState,
  event: EventOf<'segmentPlanned'>,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const batch = farm.batches.get(event.batchId)
  if (batch === undefined || !batch.isPlanning || event.segment !== batch.nextSegment) return
  setPlanning(batch, false)
  takeSegment(farm, batch, event.segment, event.summary, nowMs, commands)
  if (batch.state === 'cancelling' || event.summary.isClosed === true) return cancelBatch(farm, batch, commands)
  settle(farm, batch, commands)
}

/**
 * Ends what is open with records of its own; what is being planned is ended when its plan is there. The plan is closed, so that
 * another who believes that he leads can begin nothing of the batch any more.
 */
export function cancelBatch(farm: FarmState, batch: OpenBatch, commands: FarmCommand[]): void {
  if (batch.state === 'finalizing') return
  batch.state = 'cancelling'
  deactivate(farm, batch)
  batch.ready.clear()
  batch.readyShards = 0
  for (const shard of batch.open.values()) cancelShard(farm, shard, commands)
  if (!batch.isPlanning && batch.nextSegment < batch.segmentCount) planNext(farm, batch, true, commands)
  settle(farm, batch, commands)
}

/** Has the next segment planned, or the plan closed before it. */
export function planNext(farm: FarmState, batch: OpenBatch, isClosing: boolean, commands: FarmCommand[]): void {
  setPlanning(batch, true)
  const { id: batchId, nextSegment: segment } = batch
  commands.push({ type: 'planSegment', batchId, segment, workers: farm.taking.size, isClosing })
}

/** Nothing of it starts any more; what runs goes on. */
export function pauseBatch(farm: FarmState, batch: OpenBatch, commands: FarmCommand[]): void {
  batch.isPaused = true
  deactivate(farm, batch)
  commands.push({ type: 'changed', batchId: batch.id })
}

/** Whether it is paused and may still be resumed: one that is being cancelled, or has nothing left to do, ends all the same. */
export function isOnHold({ isPaused, state }: OpenBatch): boolean {
  return isPaused && (state === 'queued' || state === 'running')
}

export function resumeBatch(farm: FarmState, batch: OpenBatch, nowMs: number, commands: FarmCommand[]): void {
  batch.isPaused = false
  activate(farm, batch, nowMs)
  commands.push({ type: 'changed', batchId: batch.id })
}

/** Somebody has seen its first items and wants the others. */
export function approveBatch(farm: FarmState, batch: OpenBatch, nowMs: number, commands: FarmCommand[]): void {
  batch.isApproved = true
  goOn(farm, batch, nowMs, commands)
}

/** After somebody's word: what need not wait any more waits for workers. */
export function goOn(farm: FarmState, batch: OpenBatch, nowMs: number, commands: FarmCommand[]): void {
  queueHeld(farm, batch, nowMs)
  activate(farm, batch, nowMs)
  settle(farm, batch, commands)
}

export function changePriority(
  farm: FarmState,
  batch: OpenBatch,
  priority: number,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const isListed = batch.level !== null
  unlistBatch(farm, batch)
  batch.priority = priority
  if (isListed) listBatch(farm, batch, nowMs)
  commands.push({ type: 'changed', batchId: batch.id })
}

export function changeDeadline(batch: OpenBatch, completeByMs: number, commands: FarmCommand[]): void {
  batch.completeByMs = completeByMs
  commands.push({ type: 'changed', batchId: batch.id })
}

export function finishBatch(farm: FarmState, batchId: string): void {
  const batch = farm.batches.get(batchId)
  if (batch === undefined) return
  deactivate(farm, batch)
  farm.batches.delete(batchId)
}

/** After a change of what a batch has to do: ends it where nothing is left, and has its watchers told. */
export function settle(farm: FarmState, batch: OpenBatch, commands: FarmCommand[]): void {
  offer(batch)
  if (
    batch.nextSegment === batch.segmentCount &&
    batch.open.size === 0 &&
    !batch.isPlanning &&
    batch.state !== 'finalizing'
  ) {
    commands.push({ type: 'finalize', batchId: batch.id, isCancelled: batch.state === 'cancelling' })
    batch.state = 'finalizing'
    deactivate(farm, batch)
  }
  // While somebody is to say something, its tenant has no claim on the time that passes.
  if (waitsForSomebody(batch)) deactivate(farm, batch)
  commands.push({ type: 'changed', batchId: batch.id })
}

/** From now on it waits for workers, unless it is paused, waits for somebody, or ends. */
export function activate(farm: FarmState, batch: OpenBatch, nowMs: number): void {
  if (batch.isActive || batch.isPaused || (batch.state !== 'queued' && batch.state !== 'running')) return
  if (waitsForSomebody(batch)) return
  batch.isActive = true
  if (batch.owner.active === 0) catchUp(farm, batch.owner)
  batch.owner.active++
  listBatch(farm, batch, nowMs)
}

function deactivate(farm: FarmState, batch: OpenBatch): void {
  if (!batch.isActive) return
  batch.isActive = false
  batch.owner.active--
  unlistBatch(farm, batch)
}

export function tally(batch: OpenBatch, segment: number, result: ShardResult): void {
  batch.endedShards++
  addCounts(batch, result)
  for (const one of result.schedulers) addTally(batch.schedulers, one)
  noteResult(batch, segment, result)
}

function takeSegment(
  farm: FarmState,
  batch: OpenBatch,
  segment: number,
  { shards, ended, isClosed }: SegmentSummary,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const next = isClosed === true ? batch.segmentCount : Math.max(batch.nextSegment, segment + 1)
  setPlan(batch, next, batch.segmentSeconds)
  let seconds = 0
  for (const summary of shards) seconds += openShard(farm, batch, segment, summary, nowMs, commands)
  // Else what has ended is not among them.
  if (ended.length === 0) setPlan(batch, next, seconds)
  for (const result of ended) tally(batch, segment, result)
  completeSegment(batch, segment)
  if (batch.state === 'queued') batch.state = 'running'
}

/**
 * A shard without a record: from now on it waits for a worker, or for somebody; one whose items are all cancelled ends.
 * @returns what it is expected to take a device that nobody knows, in seconds
 */
export function openShard(
  farm: FarmState,
  batch: OpenBatch,
  segment: number,
  summary: ShardSummary,
  nowMs: number,
  commands: FarmCommand[],
  failedOn: readonly string[] = [],
): number {
  const { id, checkpoint, work } = summary
  const seconds = farm.costs.seconds({ checkpoint, deviceKind: null }, work)
  const shard: OpenShard = {
    ...summary,
    batchId: batch.id,
    segment,
    state: isHeldBack(batch, summary.items) ? 'held' : 'planned',
    attempt: 0,
    attempts: 0,
    failures: 0,
    failedOn,
    refusedBy: [],
    calledOff: [],
    restsUntilMs: 0,
    assignedTo: null,
    workerId: null,
    seconds,
    charged: 0,
    sequence: null,
    unownedSinceMs: 0,
    firstSteps: null,
    hedge: null,
  }
  batch.open.set(id, shard)
  noteOpened(batch, segment)
  if (shard.state === 'planned') addReady(batch, shard, nowMs, false)
  else batch.heldShards++
  endIfCancelled(farm, batch, shard, commands)
  return seconds
}
