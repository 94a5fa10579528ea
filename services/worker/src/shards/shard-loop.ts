import { create } from '@bufbuild/protobuf'
import { DarkroomError } from '@darkroom/chassis'
import type { FarmNats, Logger, ShardDelivery } from '@darkroom/chassis'
import { keys, ShardCompletionSchema } from '@darkroom/proto'
import type { CommitRecord, ShardAssignment } from '@darkroom/proto'
import { setTimeout as delay } from 'node:timers/promises'
import type { CheckpointShelf } from '../checkpoint-shelf.ts'
import type { Tick } from '../engine/messages.ts'
import { renderShard } from './render-shard.ts'
import type { RenderParts } from './render-shard.ts'

export interface HeldShard {
  readonly assignment: ShardAssignment
  readonly stepsTotal: number
  stepsDone: number
}

interface Holding extends HeldShard {
  readonly delivery: ShardDelivery
  readonly cancel: AbortController
  readonly jobs: Set<number>
}

export interface ShardLoopOptions extends RenderParts {
  readonly nats: FarmNats
  readonly shelf: CheckpointShelf
  readonly log: Logger
  readonly workerId: string
  readonly pool: string
}

/** One renders while the next one's lanes wait: the engine never runs dry at a shard's end. */
const SHARDS_IN_HAND = 2
const PULL_EXPIRES_MS = 5_000
const PULL_RETRY_MS = 500
const WORKING_INTERVAL_MS = 20_000
const HAND_BACK_DELAY_MS = 0

/**
 * Pulls shards, renders and commits them: images first, then the commit record, then the completion, then the ack.
 * It needs NATS and the object store, not the coordinator.
 */
export class ShardLoop {
  readonly #options: ShardLoopOptions
  readonly #held = new Map<string, Holding>()
  readonly #pulling = new AbortController()
  #finished: Promise<void> = Promise.resolve()
  readonly #handling = new Set<Promise<void>>()
  #slotFreed = (): void => {}

  constructor(options: ShardLoopOptions) {
    this.#options = options
  }

  get held(): readonly HeldShard[] {
    return [...this.#held.values()]
  }

  start(): void {
    this.#finished = this.#pull()
  }

  ticked(tick: Tick): void {
    for (const holding of this.#held.values()) {
      for (const job of tick.jobs) if (holding.jobs.has(job)) holding.stepsDone++
    }
  }

  /** Gives a shard up at its next step. */
  cancel(batchId: string, shardId: string): void {
    this.#held.get(`${batchId}/${shardId}`)?.cancel.abort()
  }

  /** Takes nothing new; resolves when everything held has ended, or after `graceMs` has been handed back. */
  async drain(graceMs: number): Promise<void> {
    this.#pulling.abort()
    await this.#finished
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), graceMs)
    const handBack = (): void => {
      for (const { cancel } of this.#held.values())
        cancel.abort(new DarkroomError('CANCELLED', 'the worker is leaving'))
    }
    late.signal.addEventListener('abort', handBack)
    await Promise.all(this.#handling)
    clearTimeout(timer)
  }

  async #pull(): Promise<void> {
    const { nats, pool, log } = this.#options
    const signal = this.#pulling.signal
    while (!signal.aborted) {
      if (this.#held.size >= SHARDS_IN_HAND) {
        await new Promise<void>((resolve) => {
          this.#slotFreed = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
        continue
      }
      try {
        const delivery = await nats.nextShard(pool, { expiresMs: PULL_EXPIRES_MS, signal })
        if (delivery === null) continue
        const handling = this.#handle(delivery)
        this.#handling.add(handling)
        void handling.finally(() => this.#handling.delete(handling))
      } catch (err) {
        if (signal.aborted) return
        log.debug({ err }, 'no shard can be pulled at the moment')
        await delay(PULL_RETRY_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  async #handle(delivery: ShardDelivery): Promise<void> {
    const { assignment } = delivery
    const { events, log } = this.#options
    const id = `${assignment.batchId}/${assignment.shardId}`
    // Delivered twice into the same hands: the first goes on, the second is only a reminder.
    if (this.#held.has(id)) return delivery.nak(WORKING_INTERVAL_MS)
    const stepsTotal = assignment.items.reduce((sum, item) => sum + item.numInferenceSteps * item.numImages, 0)
    const holding: Holding = {
      assignment,
      delivery,
      cancel: new AbortController(),
      jobs: new Set(),
      stepsTotal,
      stepsDone: 0,
    }
    this.#held.set(id, holding)
    events.shardTaken(assignment, assignment.items.length)
    const working = setInterval(() => delivery.working(), WORKING_INTERVAL_MS)
    try {
      await this.#render(holding)
    } catch (reason) {
      await this.#giveUp(holding, DarkroomError.from(reason)).catch((err: unknown) =>
        log.warn({ err }, 'a shard could not be given back'),
      )
    } finally {
      clearInterval(working)
      this.#held.delete(id)
      this.#slotFreed()
    }
  }

  async #render(holding: Holding): Promise<void> {
    const { store, shelf, events, workerId } = this.#options
    const { assignment, delivery, cancel, jobs } = holding
    const { batchId, shardId, attempt, checkpoint } = assignment
    const key = keys.result(batchId, shardId)
    if ((await store.head(key)) !== null) {
      await this.#tell(holding, { committed: false })
      await this.#acknowledge(delivery)
      return events.shardLeft(assignment, 'already-ended')
    }
    const startedAt = new Date().toISOString()
    await shelf.ensure(checkpoint)
    const items = await renderShard(this.#options, assignment, cancel.signal, (job) => jobs.add(job))
    const record: CommitRecord = {
      kind: 'rendered',
      batchId,
      shardId,
      attempt,
      workerId,
      checkpoint,
      startedAt,
      committedAt: new Date().toISOString(),
      deviceSeconds: items.reduce((sum, item) => sum + (item.state === 'rendered' ? item.seconds : 0), 0),
      items,
    }
    const start = performance.now()
    const committed =
      (await store.putIfAbsent(key, JSON.stringify(record), { contentType: 'application/json' })) === 'created'
    events.stageTaken('commit', (performance.now() - start) / 1000)
    await this.#tell(holding, { committed })
    await this.#acknowledge(delivery)
    events.shardLeft(assignment, committed ? 'committed' : 'lost-race')
  }

  async #giveUp(holding: Holding, error: DarkroomError): Promise<void> {
    const { events } = this.#options
    const { assignment, delivery, cancel } = holding
    if (cancel.signal.aborted) {
      const isLeaving = cancel.signal.reason instanceof DarkroomError
      if (isLeaving) delivery.nak(HAND_BACK_DELAY_MS)
      else await this.#acknowledge(delivery)
      return events.shardLeft(assignment, isLeaving ? 'handed-back' : 'cancelled')
    }
    await this.#tell(holding, { committed: false, errorCode: error.code, errorMessage: error.message })
    await this.#acknowledge(delivery)
    events.shardLeft(assignment, 'failed', error.cause ?? error)
  }

  /** A shard that has ended stays ended when its ack is lost: a redelivery finds the commit record. */
  async #acknowledge(delivery: ShardDelivery): Promise<void> {
    await delivery.ack().catch((err: unknown) => this.#options.log.debug({ err }, 'an ack was lost'))
  }

  async #tell(
    { assignment }: Holding,
    word: { committed: boolean; errorCode?: string; errorMessage?: string },
  ): Promise<void> {
    const { batchId, shardId, attempt } = assignment
    await this.#options.nats.publishCompletion(
      create(ShardCompletionSchema, { batchId, shardId, attempt, workerId: this.#options.workerId, ...word }),
    )
  }
}
