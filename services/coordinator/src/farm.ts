import { create } from '@bufbuild/protobuf'
import { DarkroomError, ERROR_CODES } from '@darkroom/chassis'
import type { FarmNats, ObjectStore } from '@darkroom/chassis'
import { halvesOf, keys, WelcomeSchema } from '@darkroom/proto'
import type { CommitRecord, CompletedDocument, ItemRanges, ShardCompletion, Welcome } from '@darkroom/proto'
import { assignmentOf } from './assignment.ts'
import { inBatchSpan } from './batch-span.ts'
import type { Clock } from './clock.ts'
import { Controls } from './controls.ts'
import { decide } from './core/decide.ts'
import { meanSecondsBetweenLosses } from './core/loss-rate.ts'
import type { FarmCommand, FarmEvent } from './core/messages.ts'
import { completedOf } from './core/segments.ts'
import { createState, findShard, shardKey } from './core/state.ts'
import type { FarmState, ShardSummary } from './core/state.ts'
import type { TenantTerms } from './core/tenants.ts'
import { Effects } from './effects.ts'
import type { AttemptFailure, CoordinatorEvents } from './events.ts'
import { finalizeBatch } from './finalize.ts'
import { WorkerDays } from './ledger/worker-days.ts'
import { BatchReader } from './planner/batch-reader.ts'
import { planSegment, summarise } from './planner/plan-segment.ts'
import { recoverBatch } from './recovery.ts'
import { recordOf, summariseRecord } from './records.ts'
import type { WorkerLinks } from './worker-links.ts'

export interface FarmOptions {
  readonly store: ObjectStore
  readonly nats: FarmNats
  readonly links: WorkerLinks
  readonly events: CoordinatorEvents
  readonly clock: Clock
  readonly window: number
  readonly heartbeatIntervalMs: number
  readonly workerLeaseMs: number
  readonly progressLeaseMs: number
  readonly auditShare: number
  readonly targetShardSeconds: number
  readonly tenants: ReadonlyMap<string, TenantTerms>
  readonly onChange: (batchId: string) => void
  readonly onShardEnded: (batchId: string, shardId: string) => void
}

const MAX_FAILURES = 5
const UNOWNED_MS = 10_000
/** A few loads of a large checkpoint. */
const STARVATION_MS = 120_000
/** A worker reconnects in less when only its connection broke. */
const DETACHED_GRACE_MS = 1_000

/**
 * One term of leadership: the core's state and the effects around it. Made anew from the bucket each time this coordinator
 * begins to lead, and dropped when it stops; effects that are still under way then do no harm, since all they write is
 * conditional.
 */
export class Farm {
  readonly state: FarmState
  readonly reader: BatchReader
  readonly controls: Controls
  /** What workers tell of their devices' time. */
  readonly workerDays = new WorkerDays()
  readonly #options: FarmOptions
  readonly #effects: Effects
  readonly #signal: AbortSignal
  readonly #opening = new Map<string, Promise<void>>()

  constructor(options: FarmOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.reader = new BatchReader(options.store)
    this.#effects = new Effects(options.events, options.clock, signal)
    const { window, workerLeaseMs, progressLeaseMs, auditShare } = options
    const limits = { maxFailures: MAX_FAILURES, unownedMs: UNOWNED_MS, detachedGraceMs: DETACHED_GRACE_MS }
    this.state = createState(
      { window, workerLeaseMs, progressLeaseMs, auditShare, starvationMs: STARVATION_MS, ...limits },
      Infinity,
    )
    const { store, clock } = options
    this.controls = new Controls({ store, clock, state: this.state, handle: (event) => this.handle(event) })
    for (const [tenant, terms] of options.tenants) this.handle({ type: 'tenantChanged', tenant, terms })
  }

  /** From now on shards are dispatched. */
  allowDispatchFrom(atMs: number): void {
    this.state.dispatchFromMs = atMs
  }

  /** What a worker is told of the farm. */
  welcome(): Welcome {
    const { heartbeatIntervalMs } = this.#options
    return create(WelcomeSchema, {
      heartbeatIntervalMs,
      meanSecondsBetweenLosses: meanSecondsBetweenLosses(this.state.lossRate),
    })
  }

  handle(event: FarmEvent): void {
    if (this.#signal.aborted) return
    const nowMs = this.#options.clock.nowMs()
    if (event.type === 'workerSeen') this.workerDays.seen(event.worker, nowMs)
    for (const command of decide(this.state, event, nowMs)) this.#carryOut(command)
  }

  /** Opens a batch from the bucket, once however often it is asked for. @throws DarkroomError NOT_FOUND */
  openBatch(batchId: string): Promise<void> {
    if (this.state.batches.has(batchId)) return Promise.resolve()
    let opening = this.#opening.get(batchId)
    if (opening === undefined) {
      opening = this.#recover(batchId).finally(() => this.#opening.delete(batchId))
      this.#opening.set(batchId, opening)
    }
    return opening
  }

  /** Whether nothing of a batch runs or begins any more, once it was cancelled. */
  hasStopped(batchId: string): boolean {
    const batch = this.state.batches.get(batchId)
    return batch === undefined || (batch.open.size === 0 && !batch.isPlanning)
  }

  /** A completion is a hint; the commit record is the truth. */
  async completed(completion: ShardCompletion): Promise<void> {
    const { batchId, shardId, attempt, workerId, committed, isAudit, errorCode, errorMessage } = completion
    if (isAudit) return this.#audited(completion)
    if (errorCode === '' && !committed) {
      this.#options.events.raceLost()
      this.#compared(completion)
    }
    if (!this.state.batches.get(batchId)?.open.has(shardId)) return
    const record = await this.#options.store.getJson<CommitRecord>(keys.result(batchId, shardId))
    if (record !== null) return this.#ended(record)
    if (errorCode === '') return
    this.#attemptFailed({ batchId, shardId, attempt, workerId, code: errorCode, message: errorMessage })
  }

  #audited(completion: ShardCompletion): void {
    const { batchId, shardId, errorCode, differingItems } = completion
    this.#options.events.audited(errorCode !== '' ? 'failed' : differingItems.length > 0 ? 'different' : 'same')
    this.handle({ type: 'auditEnded', batchId, shardId })
    this.#compared(completion)
  }

  #compared({ batchId, shardId, workerId, differingItems, recordWorkerId: otherId }: ShardCompletion): void {
    if (differingItems.length === 0) return
    this.#options.events.resultsDiffered({ batchId, shardId, workerId, otherId, items: differingItems })
    this.handle({ type: 'resultsDiffered', workerId, otherId })
  }

  #attemptFailed(failure: AttemptFailure): void {
    const { batchId, shardId, attempt, workerId, code, message } = failure
    this.#options.events.attemptFailed(failure)
    const mayBeAnItem = code === 'INTERNAL' || code === 'PAYLOAD_TOO_LARGE'
    const by = workerId === '' ? {} : { workerId }
    this.handle({
      type: 'attemptFailed',
      batchId,
      shardId,
      attempt,
      ...by,
      message: `${code}: ${message}`,
      mayBeAnItem,
    })
  }

  async #recover(batchId: string): Promise<void> {
    const recovered = await recoverBatch(this.#options.store, this.reader, batchId)
    if (recovered === null) return
    this.#options.events.batchOpened(batchId, recovered.batch.itemCount)
    this.handle(recovered)
  }

  async #ended(record: CommitRecord): Promise<void> {
    const { batchId, shardId } = record
    const halves = record.kind === 'split' ? await this.#halves(batchId, shardId) : []
    if (findShard(this.state, batchId, shardId) === null) return
    const result = summariseRecord(record)
    const { tenant } = this.state.batches.get(batchId)!
    this.#options.events.shardEnded(batchId, tenant, shardId, result)
    this.#options.onShardEnded(batchId, shardId)
    this.handle({ type: 'shardEnded', batchId, shardId, result, halves })
  }

  async #halves(batchId: string, shardId: string): Promise<ShardSummary[]> {
    const halves = halvesOf(await this.reader.shard(batchId, shardId))
    return Promise.all(halves.map(async (half) => summarise(half, await this.reader.shardItems(batchId, half.id))))
  }

  #carryOut(command: FarmCommand): void {
    const { nats, links, events, onChange } = this.#options
    switch (command.type) {
      case 'planSegment':
        return this.#effects.run('planning', () => this.#plan(command))
      case 'dispatch':
        return this.#effects.run('dispatching', () => this.#dispatch(command))
      case 'audit':
        return this.#effects.run('auditing', () => this.#audit(command))
      case 'withdraw':
        return this.#effects.run('withdrawing', () => nats.withdrawShard(command.sequence))
      case 'saveCompleted':
        return this.#effects.run('saving', () => this.#saveCompleted(command.batchId))
      case 'endShard':
        return this.#effects.run('recording', () => this.#record(command))
      case 'finalize':
        return this.#effects.run('finalizing', () => this.#finalize(command))
      case 'cancelOnWorker':
        return links.cancelShard(command.workerId, command)
      case 'cancelItemsOnWorker':
        return links.cancelItems(command.workerId, command)
      case 'workerLost':
        events.workerLost(command.workerId)
        return links.sendAll({ case: 'welcome', value: this.welcome() })
      case 'workerStalled':
        return events.workerStalled(command.workerId)
      case 'quarantined':
        return events.workerQuarantined(command.workerId, command.reason)
      case 'released':
        return events.workerReleased(command.workerId)
      case 'hedged':
        return events.shardHedged(command)
      case 'redispatched':
        return events.redispatched(command.reason)
      case 'changed':
        return onChange(command.batchId)
    }
  }

  async #plan(command: Extract<FarmCommand, { type: 'planSegment' }>): Promise<void> {
    const { batchId, segment } = command
    const { store, targetShardSeconds, events } = this.#options
    const start = performance.now()
    const parts = { store, reader: this.reader, model: this.state.costs, targetSeconds: targetShardSeconds }
    const summary = await inBatchSpan(this.reader, 'plan segment', command, () => planSegment(parts, command))
    events.segmentPlanned(batchId, segment, summary.shards.length, (performance.now() - start) / 1000)
    this.handle({ type: 'segmentPlanned', batchId, segment, summary })
  }

  async #dispatch(command: Extract<FarmCommand, { type: 'dispatch' }>): Promise<void> {
    const { nats, events } = this.#options
    const { batchId, shardId, attempt, workerId } = command
    const isWanted = (): boolean => {
      const shard = this.#signal.aborted ? undefined : this.state.batches.get(batchId)?.open.get(shardId)
      return (shard?.state === 'dispatching' && shard.attempt === attempt) || shard?.hedge?.attempt === attempt
    }
    if (!isWanted()) return
    await inBatchSpan(this.reader, 'dispatch shard', command, async () => {
      const assignment = await assignmentOf(this.reader, command, this.#cancelledItems(batchId))
      if (!isWanted()) return
      let sequence: number
      try {
        sequence = await nats.dispatchShard(workerId, assignment)
      } catch (reason) {
        const error = DarkroomError.from(reason)
        if (ERROR_CODES[error.code].retry !== 'never') throw reason
        // It would be refused for ever: its attempts are used up, and it ends as failed with this reason.
        return this.#attemptFailed({ ...command, workerId: '', code: error.code, message: error.message })
      }
      events.shardDispatched(command)
      this.handle({ type: 'shardDispatched', batchId, shardId, attempt, sequence })
    })
  }

  async #audit(command: Extract<FarmCommand, { type: 'audit' }>): Promise<void> {
    const { batchId, shardId, workerId } = command
    const assignment = await assignmentOf(this.reader, command, this.#cancelledItems(batchId), true)
    if (!this.state.batches.has(batchId)) this.reader.forget(batchId)
    if (!this.state.audits.has(shardKey(batchId, shardId))) return
    const sequence = await this.#options.nats.dispatchShard(workerId, assignment)
    this.handle({ type: 'auditDispatched', batchId, shardId, sequence })
  }

  #cancelledItems(batchId: string): ItemRanges {
    return this.state.batches.get(batchId)?.cancelledItems ?? []
  }

  async #record({
    batchId,
    shardId,
    attempt,
    failedAttempts,
    kind,
    itemCount,
    message,
  }: Extract<FarmCommand, { type: 'endShard' }>): Promise<void> {
    const { store, clock } = this.#options
    const base = { batchId, shardId, attempt, failedAttempts, committedAt: clock.date().toISOString(), itemCount }
    const record = recordOf(kind, base, message)
    const key = keys.result(batchId, shardId)
    await store.putIfAbsent(key, JSON.stringify(record), { contentType: 'application/json' })
    // Whoever was first.
    const stored = await store.getJson<CommitRecord>(key)
    if (stored === null) throw new DarkroomError('STORE_UNAVAILABLE', `the record ${key} cannot be read`)
    await this.#ended(stored)
  }

  /** As it is by now. */
  async #saveCompleted(batchId: string): Promise<void> {
    const batch = this.state.batches.get(batchId)
    if (batch === undefined) return
    const startedAt = batch.startedAtMs === null ? null : new Date(batch.startedAtMs).toISOString()
    const document: CompletedDocument = { batchId, startedAt, ...completedOf(batch) }
    const options = { contentType: 'application/json' }
    await this.#options.store.put(keys.completed(batchId), JSON.stringify(document), options)
  }

  async #finalize({ batchId, isCancelled }: Extract<FarmCommand, { type: 'finalize' }>): Promise<void> {
    const { store, events, clock, onChange } = this.#options
    const start = performance.now()
    const end = { isCancelled, now: () => clock.date() }
    const batch = await this.reader.batch(batchId)
    const done = await inBatchSpan(this.reader, 'finish batch', { batchId }, () =>
      finalizeBatch(store, this.reader, batch, end),
    )
    // Items of segments that were never planned, since it was cancelled first, are in no record that was counted.
    const unplanned = done.items.cancelled - (this.state.batches.get(batchId)?.cancelled ?? done.items.cancelled)
    events.batchEnded(batchId, done, unplanned, (performance.now() - start) / 1000)
    this.handle({ type: 'batchFinished', batchId })
    this.reader.forget(batchId)
    onChange(batchId)
  }
}
