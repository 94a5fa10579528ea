import { create, fromJson } from '@bufbuild/protobuf'
import { DarkroomError } from '@darkroom/chassis'
import type { FarmNats, Logger, ObjectStore } from '@darkroom/chassis'
import { ItemSchema, keys, ShardAssignmentSchema } from '@darkroom/proto'
import type { CommitRecord, ShardCompletion } from '@darkroom/proto'
import { setTimeout as delay } from 'node:timers/promises'
import { decide } from './core/decide.ts'
import type { FarmCommand, FarmEvent } from './core/messages.ts'
import { createState } from './core/state.ts'
import type { FarmState } from './core/state.ts'
import type { CoordinatorEvents } from './events.ts'
import { finalizeBatch } from './finalize.ts'
import { BatchReader } from './planner/batch-reader.ts'
import { CostModel } from './planner/cost-model.ts'
import { planSegment } from './planner/plan-segment.ts'
import { recoverBatch } from './recovery.ts'
import { summariseRecord } from './records.ts'
import type { WorkerLinks } from './worker-links.ts'

export interface FarmOptions {
  readonly store: ObjectStore
  readonly nats: FarmNats
  readonly links: WorkerLinks
  readonly events: CoordinatorEvents
  readonly log: Logger
  readonly pool: string
  readonly window: number
  readonly workerLeaseMs: number
  readonly targetShardSeconds: number
  readonly onChange: (batchId: string) => void
}

const MAX_FAILURES = 5
const UNOWNED_MS = 10_000
const RETRY_MIN_MS = 200
const RETRY_MAX_MS = 10_000

/**
 * One term of leadership: the core's state and the effects around it. Made anew from the bucket each time this coordinator
 * begins to lead, and dropped when it stops; effects that are still under way then do no harm, since all they write is
 * conditional.
 */
export class Farm {
  readonly state: FarmState
  readonly reader: BatchReader
  readonly #options: FarmOptions
  readonly #costs = new CostModel()
  readonly #signal: AbortSignal
  readonly #opening = new Map<string, Promise<void>>()

  constructor(options: FarmOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.reader = new BatchReader(options.store)
    const { window, workerLeaseMs } = options
    this.state = createState({ window, workerLeaseMs, maxFailures: MAX_FAILURES, unownedMs: UNOWNED_MS }, Infinity)
  }

  /** From now on shards are dispatched. */
  allowDispatchFrom(atMs: number): void {
    this.state.dispatchFromMs = atMs
  }

  handle(event: FarmEvent): void {
    if (this.#signal.aborted) return
    for (const command of decide(this.state, event, Date.now())) this.#carryOut(command)
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

  /** A completion is a hint; the commit record is the truth. */
  async completed(completion: ShardCompletion): Promise<void> {
    const { batchId, shardId, attempt, workerId, committed, errorCode, errorMessage } = completion
    if (errorCode === '' && !committed) this.#options.events.raceLost()
    if (!this.state.batches.get(batchId)?.open.has(shardId)) return
    const record = await this.#options.store.getJson<CommitRecord>(keys.result(batchId, shardId))
    if (record !== null) return this.#ended(record)
    if (errorCode === '') return
    this.#options.events.attemptFailed(batchId, shardId, workerId, errorCode, errorMessage)
    this.handle({ type: 'attemptFailed', batchId, shardId, attempt, message: `${errorCode}: ${errorMessage}` })
  }

  async #recover(batchId: string): Promise<void> {
    const events = await recoverBatch(this.#options.store, this.reader, batchId)
    const opened = events[0]
    if (opened?.type !== 'batchOpened' || this.state.batches.has(batchId)) return
    this.#options.events.batchOpened(batchId, opened.batch.itemCount)
    for (const event of events) this.handle(event)
  }

  #ended(record: CommitRecord): void {
    const { batchId, shardId } = record
    const shard = this.state.batches.get(batchId)?.open.get(shardId)
    if (shard === undefined) return
    const result = summariseRecord(record)
    this.#costs.learn(shard.checkpoint, shard.cost, result.deviceSeconds)
    this.#options.events.shardEnded(batchId, shardId, result)
    this.handle({ type: 'shardEnded', batchId, shardId, result })
  }

  #carryOut(command: FarmCommand): void {
    const { nats, links, events, onChange } = this.#options
    switch (command.type) {
      case 'planSegment':
        return this.#inBackground('planning', () => this.#plan(command))
      case 'dispatch':
        return this.#inBackground('dispatching', () => this.#dispatch(command))
      case 'withdraw':
        return this.#inBackground('withdrawing', () => nats.withdrawShard(command.sequence))
      case 'endShard':
        return this.#inBackground('ending a shard', () => this.#endShard(command))
      case 'finalize':
        return this.#inBackground('finalizing', () => this.#finalize(command))
      case 'cancelOnWorker':
        return links.cancelShard(command.workerId, command)
      case 'redispatched':
        return events.redispatched(command.reason)
      case 'changed':
        return onChange(command.batchId)
    }
  }

  /** Tries until it works or this term ends; whatever an effect writes may be written twice. */
  #inBackground(what: string, effect: () => Promise<void>): void {
    void (async () => {
      for (let waitMs = RETRY_MIN_MS; !this.#signal.aborted; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
        try {
          return await effect()
        } catch (err) {
          if (this.#signal.aborted) return
          this.#options.events.effectFailed(what, err)
          await delay(waitMs, undefined, { signal: this.#signal }).catch(() => {})
        }
      }
    })()
  }

  async #plan({ batchId, segment, workers }: Extract<FarmCommand, { type: 'planSegment' }>): Promise<void> {
    const { store, targetShardSeconds, events } = this.#options
    const start = performance.now()
    const { itemCount, shards } = await planSegment(
      { store, reader: this.reader, model: this.#costs, targetSeconds: targetShardSeconds },
      batchId,
      segment,
      workers,
    )
    events.segmentPlanned(batchId, segment, shards.length, (performance.now() - start) / 1000)
    this.handle({ type: 'segmentPlanned', batchId, segment, itemCount, shards, ended: [] })
  }

  async #dispatch(command: Extract<FarmCommand, { type: 'dispatch' }>): Promise<void> {
    const { nats, pool, events } = this.#options
    const { batchId, shardId, attempt } = command
    const isWanted = (): boolean => {
      const shard = this.state.batches.get(batchId)?.open.get(shardId)
      return shard?.state === 'dispatching' && shard.attempt === attempt
    }
    if (!isWanted()) return
    const [batch, items] = await Promise.all([this.reader.batch(batchId), this.reader.shardItems(batchId, shardId)])
    const assignment = create(ShardAssignmentSchema, {
      batchId,
      shardId,
      attempt,
      checkpoint: items[0]!.checkpoint,
      items: items.map((item) => fromJson(ItemSchema, item as unknown as Parameters<typeof fromJson>[1])),
      traceparent: batch.traceparent,
    })
    if (!isWanted()) return
    const sequence = await nats.dispatchShard(pool, assignment)
    events.shardDispatched(command)
    this.handle({ type: 'shardDispatched', batchId, shardId, attempt, sequence })
  }

  async #endShard({
    batchId,
    shardId,
    attempt,
    kind,
    itemCount,
    message,
  }: Extract<FarmCommand, { type: 'endShard' }>): Promise<void> {
    const { store } = this.#options
    const base = { batchId, shardId, attempt, committedAt: new Date().toISOString(), itemCount }
    const record: CommitRecord =
      kind === 'cancelled' ? { ...base, kind } : { ...base, kind, code: 'RENDER_FAILED', message }
    const key = keys.result(batchId, shardId)
    await store.putIfAbsent(key, JSON.stringify(record), { contentType: 'application/json' })
    // Whoever was first.
    const stored = await store.getJson<CommitRecord>(key)
    if (stored === null) throw new DarkroomError('STORE_UNAVAILABLE', `the record ${key} cannot be read`)
    this.#ended(stored)
  }

  async #finalize({ batchId, isCancelled }: Extract<FarmCommand, { type: 'finalize' }>): Promise<void> {
    const { store, events, onChange } = this.#options
    const start = performance.now()
    const done = await finalizeBatch(store, this.reader, await this.reader.batch(batchId), isCancelled)
    events.batchEnded(batchId, done.state, done.items, (performance.now() - start) / 1000)
    this.handle({ type: 'batchFinished', batchId })
    this.reader.forget(batchId)
    onChange(batchId)
  }
}
