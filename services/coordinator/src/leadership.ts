import { DarkroomError, LeaderLease } from '@darkroom/chassis'
import type { FarmNats, Logger, ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { setTimeout as delay } from 'node:timers/promises'
import type { CoordinatorConfig } from './config.ts'
import { Farm } from './farm.ts'
import type { CoordinatorEvents } from './events.ts'
import type { Watchers } from './watchers.ts'
import type { WorkerLinks } from './worker-links.ts'

export interface LeadershipOptions {
  readonly config: CoordinatorConfig
  readonly identity: string
  readonly store: ObjectStore
  readonly nats: FarmNats
  readonly links: WorkerLinks
  readonly watchers: Watchers
  readonly events: CoordinatorEvents
  readonly log: Logger
}

interface Term {
  readonly farm: Farm
  readonly stop: AbortController
  readonly ready: Promise<void>
}

const TICK_MS = 500
const ENSURE_MS = 2_000
const LISTING_MS = 10_000
const RETRY_MS = 1_000
/**
 * So many of the newest batches are looked at again: an id is as old as the beginning of its upload, so that a batch can turn
 * up behind others. One page of a listing.
 */
const LISTING_MARGIN = 1_000
const OPENED_AT_ONCE = 16

/** Takes part in the election and runs a Farm while it leads. */
export class Leadership implements AsyncDisposable {
  readonly #options: LeadershipOptions
  #lease: LeaderLease | null = null
  #term: Term | null = null
  #onLeading: (isLeader: boolean) => void = () => {}
  /** Ids of all batches in the bucket, in order. */
  #batchIds: string[] = []

  constructor(options: LeadershipOptions) {
    this.#options = options
  }

  /** @param address where this coordinator serves gRPC, told to those who ask a standby */
  start(address: string, onLeading: (isLeader: boolean) => void): void {
    this.#onLeading = onLeading
    const { config, nats, identity, log } = this.#options
    this.#lease = LeaderLease.start(nats, {
      identity,
      address,
      ttlMs: config.leaderLeaseMs,
      onAcquired: () => this.#begin(),
      onLost: () => this.#end(),
      log,
    })
  }

  /** The farm, once it knows all open batches. @throws DarkroomError NOT_LEADER */
  async farm(): Promise<Farm> {
    const term = this.#term
    if (term === null) {
      const leader = this.#lease?.leaderAddress() ?? null
      throw new DarkroomError(
        'NOT_LEADER',
        leader === null ? 'no coordinator leads at the moment' : `this coordinator is a standby; ${leader} leads`,
      )
    }
    await term.ready
    return term.farm
  }

  /** The leading farm at once, also while it still recovers: what workers report is wanted then too. */
  farmNow(): Farm | null {
    return this.#term?.farm ?? null
  }

  /** Every batch id, oldest first. */
  batchIds(): readonly string[] {
    return this.#batchIds
  }

  noteBatch(batchId: string): void {
    // Ids sort by time, so that its place is near the end.
    const before = this.#batchIds.findLastIndex((id) => id <= batchId)
    if (this.#batchIds[before] !== batchId) this.#batchIds.splice(before + 1, 0, batchId)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lease?.[Symbol.asyncDispose]()
  }

  #begin(): void {
    const { config, store, nats, links, watchers, events } = this.#options
    const stop = new AbortController()
    const farm = new Farm(
      {
        store,
        nats,
        links,
        events,
        window: config.window,
        heartbeatIntervalMs: config.heartbeatIntervalMs,
        workerLeaseMs: config.workerLeaseMs,
        targetShardSeconds: config.targetShardSeconds,
        tenants: config.tenants,
        onChange: (batchId) => watchers.changed(batchId),
        onShardEnded: (batchId, shardId) => watchers.shardEnded(batchId, shardId),
      },
      stop.signal,
    )
    const term: Term = { farm, stop, ready: this.#recover(farm, stop.signal) }
    this.#term = term
    events.leading(true)
    this.#onLeading(true)
    term.ready.catch(() => {})
    void nats.consumeCompletions((completion) => farm.completed(completion), stop.signal)
    this.#every(TICK_MS, stop.signal, async () => farm.handle({ type: 'tick' }))
    this.#every(ENSURE_MS, stop.signal, () => this.#ensureStreams(farm))
    this.#every(LISTING_MS, stop.signal, () => this.#findBatches(farm))
  }

  #end(): void {
    this.#term?.stop.abort()
    this.#term = null
    this.#options.events.leading(false)
    this.#onLeading(false)
    this.#options.links.closeAll()
    // Whoever watches here learns that he has to ask the next leader.
    this.#options.watchers.leadershipLost()
  }

  async #recover(farm: Farm, signal: AbortSignal): Promise<void> {
    const { config, nats, events } = this.#options
    this.#batchIds = []
    for (;;) {
      signal.throwIfAborted()
      try {
        await nats.ensureStreams()
        // What a former leader dispatched and no worker has taken yet is dispatched anew from the bucket.
        await nats.purgeShards()
        await this.#findBatches(farm)
        break
      } catch (err) {
        events.effectFailed('recovering', err)
        await delay(RETRY_MS, undefined, { signal })
      }
    }
    // Workers first say what they hold, so that it is not rendered twice.
    farm.allowDispatchFrom(Date.now() + 2 * config.heartbeatIntervalMs)
  }

  async #ensureStreams(farm: Farm): Promise<void> {
    const { created } = await this.#options.nats.ensureStreams()
    if (created.length === 0) return
    this.#options.events.queueLost(created)
    farm.handle({ type: 'queueLost' })
  }

  /** Opens batches that nobody told of: their gateway died, or no coordinator was there to hear it. */
  async #findBatches(farm: Farm): Promise<void> {
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
        await farm.openBatch(batchId)
        this.noteBatch(batchId)
      }
    })
    await Promise.all(openers)
  }

  #every(intervalMs: number, signal: AbortSignal, action: () => Promise<void>): void {
    void (async () => {
      while (!signal.aborted) {
        await delay(intervalMs, undefined, { signal }).catch(() => {})
        if (signal.aborted) return
        await action().catch((err: unknown) => this.#options.log.debug({ err }, 'a periodic check failed'))
      }
    })()
  }
}
