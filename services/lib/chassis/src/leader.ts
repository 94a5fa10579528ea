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
  readonly identity: string
  /** Where the leader serves gRPC, told to those who ask a standby. */
  readonly address: string
  /** After so long without renewal the lease is anybody's. Renewed three times within it. */
  readonly ttlMs: number
  readonly onAcquired: () => void
  readonly onLost: () => void
  readonly log: Logger
}

/**
 * Who leads: one key of a NATS bucket whose values expire, taken and renewed by compare-and-set.
 * It only saves double work. Two who both believe that they lead do no harm, since plans and records are conditional writes;
 * still, a holder that could not renew for two thirds of the ttl stands down before the key can expire.
 */
export class LeaderLease implements AsyncDisposable {
  readonly #nats: FarmNats
  readonly #options: LeaderOptions
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  #revision: number | null = null
  #renewedAt = 0
  #holder: Lease | null = null

  private constructor(nats: FarmNats, options: LeaderOptions) {
    this.#nats = nats
    this.#options = options
    this.#loop = this.#run()
  }

  static start(nats: FarmNats, options: LeaderOptions): LeaderLease {
    return new LeaderLease(nats, options)
  }

  isLeader(): boolean {
    return this.#revision !== null
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
    const { ttlMs, log } = this.#options
    const signal = this.#stop.signal
    while (!signal.aborted) {
      try {
        await this.#beat()
      } catch (err) {
        log.debug({ err }, 'the lease cannot be reached')
      }
      if (this.#revision !== null && performance.now() - this.#renewedAt > (ttlMs * 2) / 3)
        this.#standDown('the lease could not be renewed')
      await delay(ttlMs / (this.#revision === null ? 6 : 3), undefined, { signal }).catch(() => {})
    }
    await this.#release()
  }

  async #beat(): Promise<void> {
    const bucket = await this.#bucket()
    const mine = JSON.stringify({ identity: this.#options.identity, address: this.#options.address } satisfies Lease)
    const startedAt = performance.now()
    const entry = await bucket.get(LEADER_KEY)
    const holder = entry === null || entry.operation !== 'PUT' ? null : entry.json<Lease>()
    this.#holder = holder
    if (holder !== null && holder.identity !== this.#options.identity) {
      if (this.#revision !== null) this.#standDown('another holds the lease')
      return
    }
    try {
      const revision = await (holder === null
        ? bucket.create(LEADER_KEY, mine)
        : bucket.update(LEADER_KEY, mine, entry!.revision))
      const isNew = this.#revision === null
      this.#revision = revision
      this.#renewedAt = startedAt
      this.#holder = JSON.parse(mine) as Lease
      if (isNew) {
        this.#options.log.info('leading')
        this.#options.onAcquired()
      }
    } catch (err) {
      this.#options.log.debug({ err }, 'somebody else was quicker at the lease')
    }
  }

  #standDown(why: string): void {
    this.#revision = null
    this.#options.log.warn({ why }, 'not leading any more')
    this.#options.onLost()
  }

  /** So that a standby need not wait for the ttl. */
  async #release(): Promise<void> {
    if (this.#revision === null) return
    const revision = this.#revision
    this.#standDown('stopping')
    try {
      await (await this.#bucket()).delete(LEADER_KEY, { previousSeq: revision })
    } catch (err) {
      this.#options.log.debug({ err }, 'the lease could not be given back')
    }
  }

  /** Opened anew each time: the bucket vanishes with the server's storage. */
  #bucket(): Promise<KV> {
    return this.#nats.connection
      .jetstream({ timeout: this.#options.ttlMs / 3 })
      .views.kv(LEADER_BUCKET, { ttl: this.#options.ttlMs, history: 1 })
  }
}
