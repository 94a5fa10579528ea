import { LEADER_BUCKET, LEADER_KEY } from '@darkroom/proto'
import type { KV } from 'nats'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from './log.ts'
import type { FarmNats } from './nats.ts'

interface Lease {
  readonly identity: string
  readonly address: string
}

export interface LeaderOptions {
  /** Unique among all processes that ever run. */
  readonly identity: string
  /** Where the leader serves gRPC, told to those who ask a standby. */
  readonly address: string
  /** After so long without renewal the lease is anybody's. Renewed several times within it. */
  readonly ttlMs: number
  /** Servers of a NATS cluster that keep the lease; 1 where it is not said. */
  readonly replicas?: number
  readonly onAcquired: () => void
  readonly onLost: () => void
  readonly log: Logger
}

/** Beats within one ttl, and how much of it a holder trusts: it stands down well before the server lets the key expire. */
const BEATS = 6
const TRUSTED = 2 / 3

/**
 * Who leads: one key of a NATS bucket whose values expire, taken and renewed by compare-and-set.
 * It only saves double work: two who both believe that they lead do no harm, since plans and records are conditional writes.
 */
export class LeaderLease implements AsyncDisposable {
  readonly #nats: FarmNats
  readonly #options: LeaderOptions
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  #bucket: KV | null = null
  #ttlMs: number
  /** Of the key when this process last wrote it. */
  #revision: number | null = null
  /** Until when this process leads, on performance.now()'s clock; null while it does not. */
  #until: number | null = null
  #expiry: NodeJS.Timeout | undefined
  #holder: Lease | null = null

  private constructor(nats: FarmNats, options: LeaderOptions) {
    this.#nats = nats
    this.#options = options
    this.#ttlMs = options.ttlMs
    this.#loop = this.#run()
  }

  static start(nats: FarmNats, options: LeaderOptions): LeaderLease {
    return new LeaderLease(nats, options)
  }

  /** Never true of two at once: what was not renewed in time ends by the clock, also while this process hangs. */
  isLeader(): boolean {
    return this.#until !== null && performance.now() < this.#until
  }

  /** Of whoever held the lease when it was last looked at. */
  leaderAddress(): string | null {
    return this.#holder?.address ?? null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal
    while (!signal.aborted) {
      // First of all: while this process hung, another may have led.
      this.#expire()
      try {
        await this.#beat()
      } catch (err) {
        this.#bucket = null
        this.#options.log.debug({ err }, 'the lease cannot be taken or renewed')
      }
      await delay(this.#ttlMs / BEATS, undefined, { signal }).catch(() => {})
    }
    this.#standDown('stopping')
    await this.#release()
  }

  async #beat(): Promise<void> {
    const { identity, address } = this.#options
    const startedAt = performance.now()
    this.#bucket ??= await this.#open()
    const entry = await this.#bucket.get(LEADER_KEY)
    this.#holder = entry === null || entry.operation !== 'PUT' ? null : entry.json<Lease>()
    if (entry !== null && this.#holder !== null && this.#holder.identity !== identity)
      return this.#standDown('another holds the lease')
    const mine: Lease = { identity, address }
    // Refused where somebody else was quicker.
    this.#revision = await (entry === null || this.#holder === null
      ? this.#bucket.create(LEADER_KEY, JSON.stringify(mine))
      : this.#bucket.update(LEADER_KEY, JSON.stringify(mine), entry.revision))
    this.#holder = mine
    const until = startedAt + this.#ttlMs * TRUSTED
    if (!this.#stop.signal.aborted && performance.now() < until) this.#leadUntil(until)
  }

  #leadUntil(until: number): void {
    const isNew = this.#until === null
    this.#until = until
    clearTimeout(this.#expiry)
    this.#expiry = setTimeout(() => this.#expire(), until - performance.now()).unref()
    if (!isNew) return
    this.#options.log.info('leading')
    this.#options.onAcquired()
  }

  #expire(): void {
    if (this.#until !== null && !this.isLeader()) this.#standDown('the lease could not be renewed')
  }

  #standDown(why: string): void {
    if (this.#until === null) return
    this.#until = null
    clearTimeout(this.#expiry)
    this.#options.log.warn({ why }, 'not leading any more')
    this.#options.onLost()
  }

  /** So that a standby need not wait for the ttl. */
  async #release(): Promise<void> {
    if (this.#revision === null) return
    try {
      this.#bucket ??= await this.#open()
      await this.#bucket.delete(LEADER_KEY, { previousSeq: this.#revision })
    } catch (err) {
      this.#options.log.debug({ err }, 'the lease could not be given back')
    }
  }

  /** Makes the bucket where it is missing: it vanishes with the server's storage. */
  async #open(): Promise<KV> {
    const { ttlMs, replicas = 1 } = this.#options
    const jetstream = this.#nats.connection.jetstream({ timeout: this.#ttlMs / BEATS })
    const bucket = await jetstream.views.kv(LEADER_BUCKET, { ttl: ttlMs, history: 1, replicas })
    // One that was made with a shorter ttl keeps it.
    this.#ttlMs = Math.min(ttlMs, (await bucket.status()).ttl)
    return bucket
  }
}
