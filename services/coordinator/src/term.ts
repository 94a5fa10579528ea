import type { Logger } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { CancelDocument } from '@darkroom/proto'
import type { CoordinatorConfig } from './config.ts'
import { Farm } from './farm.ts'
import type { FarmOptions } from './farm.ts'
import type { Retention } from './retention.ts'
import type { Webhooks } from './webhooks/webhooks.ts'

/** What a farm takes of the configuration. */
type FarmConfig = Pick<
  CoordinatorConfig,
  | 'window'
  | 'heartbeatIntervalMs'
  | 'workerLeaseMs'
  | 'progressLeaseMs'
  | 'auditShare'
  | 'targetShardSeconds'
  | 'tenants'
>

export interface TermOptions extends Omit<FarmOptions, keyof FarmConfig> {
  readonly config: FarmConfig
  /** Null: nobody is told of the end of batches. */
  readonly webhooks: Webhooks | null
  /** Null: batches are kept for ever. */
  readonly retention: Retention | null
  readonly log: Logger
}

const TICK_MS = 500
const ENSURE_MS = 2_000
const LISTING_MS = 10_000
const EXPIRY_MS = 2_000
const RETRY_MS = 1_000
const WEBHOOKS_MS = 2_000
const RETENTION_MS = 60_000
const WORKER_DAYS_MS = 2_000
/**
 * So many of the newest batches are looked at again: an id is as old as the beginning of its upload, so that a batch can turn
 * up behind others. One page of a listing.
 */
const LISTING_MARGIN = 1_000
const OPENED_AT_ONCE = 16
/** Until every worker of a former leader has found this one: their longest wait between two attempts to attach, and some. */
const ATTACH_MS = 2_000

/** From taking the lease until losing it: a Farm, brought up from the bucket, and all that keeps it going. */
export class Term {
  readonly farm: Farm
  /** Resolves once the farm knows every open batch. */
  readonly ready: Promise<void>
  readonly #options: TermOptions
  readonly #stop = new AbortController()
  /** Ids of all batches in the bucket, in order. */
  readonly #batchIds: string[] = []

  constructor(options: TermOptions) {
    this.#options = options
    const { config, nats, webhooks, retention } = options
    const signal = this.#stop.signal
    this.farm = new Farm({ ...options, ...config }, signal)
    this.ready = this.#recover()
    this.ready.catch(() => {})
    void nats.consumeCompletions((completion) => this.farm.completed(completion), signal)
    this.#every(TICK_MS, async () => this.farm.handle({ type: 'tick' }))
    this.#every(ENSURE_MS, () => this.#ensureStreams())
    this.#every(LISTING_MS, () => this.#findBatches())
    this.#every(EXPIRY_MS, () => this.#expireBatches())
    this.#every(LISTING_MS, () => this.farm.controls.refresh())
    this.#every(WORKER_DAYS_MS, () => this.#writeWorkerDays())
    if (webhooks !== null) {
      const isOpen = (batchId: string) => this.farm.state.batches.has(batchId)
      this.#every(WEBHOOKS_MS, () => webhooks.tellAll(isOpen, signal))
    }
    if (retention !== null) this.#every(RETENTION_MS, () => retention.purgeOld(signal), 0)
  }

  /** Every batch id, oldest first. */
  get batchIds(): readonly string[] {
    return this.#batchIds
  }

  noteBatch(batchId: string): void {
    // Ids sort by time, so that its place is near the end.
    const before = this.#batchIds.findLastIndex((id) => id <= batchId)
    if (this.#batchIds[before] !== batchId) this.#batchIds.splice(before + 1, 0, batchId)
  }

  forgetBatch(batchId: string): void {
    const place = this.#batchIds.lastIndexOf(batchId)
    if (place !== -1) this.#batchIds.splice(place, 1)
  }

  stop(): void {
    this.#stop.abort()
  }

  /** Before the process ends: what workers told and nobody else may hear again. Never throws. */
  async writeLast(): Promise<void> {
    const { log } = this.#options
    await this.#writeWorkerDays(true).catch((err: unknown) => log.warn({ err }, 'what workers did last is not written'))
  }

  async #writeWorkerDays(isLast = false): Promise<void> {
    const { store, clock } = this.#options
    await this.farm.workerDays.write(store, clock.nowMs(), isLast)
  }

  async #recover(): Promise<void> {
    const { config, nats, events, clock } = this.#options
    const signal = this.#stop.signal
    const attachedMs = clock.nowMs() + ATTACH_MS
    for (;;) {
      signal.throwIfAborted()
      try {
        await nats.ensureStreams()
        // What a former leader dispatched and no worker has taken yet is dispatched anew from the bucket.
        await nats.purgeShards()
        await this.#findBatches()
        break
      } catch (err) {
        events.effectFailed('recovering', err)
        await clock.delay(RETRY_MS, signal)
      }
    }
    // Workers first say what they hold of the open batches, so that it is not rendered twice.
    const saidMs = Math.max(attachedMs, clock.nowMs() + 2 * config.heartbeatIntervalMs)
    this.farm.allowDispatchFrom(this.farm.state.batches.size === 0 ? clock.nowMs() : saidMs)
  }

  async #ensureStreams(): Promise<void> {
    const { created } = await this.#options.nats.ensureStreams()
    if (created.length === 0) return
    this.#options.events.queueLost(created)
    this.farm.handle({ type: 'queueLost' })
  }

  /** Opens batches that nobody told of: their gateway died, or no coordinator was there to hear it. */
  async #findBatches(): Promise<void> {
    const { store } = this.#options
    const newest = this.#batchIds.slice(-LISTING_MARGIN)
    const isWhole = this.#batchIds.length <= LISTING_MARGIN
    const known = new Set(newest)
    const prefixes = store.listPrefixes(keys.batches, isWhole ? {} : { startAfter: keys.batchFolder(newest[0]!) })
    const found: string[] = []
    for await (const prefix of prefixes) {
      const batchId = prefix.slice(keys.batches.length, -1)
      if (!known.has(batchId)) found.push(batchId)
    }
    const openers = Array.from({ length: OPENED_AT_ONCE }, async () => {
      for (let batchId = found.shift(); batchId !== undefined; batchId = found.shift()) {
        if ((await store.head(keys.batch(batchId))) === null) continue
        await this.farm.openBatch(batchId)
        this.noteBatch(batchId)
      }
    })
    await Promise.all(openers)
  }

  /** Ends batches whose time is up as a cancellation does: what was rendered stays. */
  async #expireBatches(): Promise<void> {
    const { store, clock } = this.#options
    const nowMs = clock.nowMs()
    const expired = [...this.farm.state.batches.values()].filter(
      ({ expiresAtMs, state }) => expiresAtMs !== null && expiresAtMs <= nowMs && state !== 'cancelling',
    )
    for (const { id: batchId } of expired) {
      const wish: CancelDocument = { batchId, requestedAt: new Date(nowMs).toISOString(), reason: 'expired' }
      await store.putIfAbsent(keys.cancel(batchId), JSON.stringify(wish), { contentType: 'application/json' })
      this.farm.handle({ type: 'cancelRequested', batchId })
    }
  }

  #every(intervalMs: number, action: () => Promise<void>, firstAfterMs = intervalMs): void {
    const { clock, log } = this.#options
    const signal = this.#stop.signal
    void (async () => {
      for (let afterMs = firstAfterMs; !signal.aborted; afterMs = intervalMs) {
        await clock.delay(afterMs, signal)
        if (signal.aborted) return
        await action().catch((err: unknown) => log.debug({ err }, 'a periodic check failed'))
      }
    })()
  }
}
