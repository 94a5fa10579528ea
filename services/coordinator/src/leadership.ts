import { DarkroomError, LeaderLease } from '@darkroom/chassis'
import type { FarmNats, Logger, ObjectStore } from '@darkroom/chassis'
import { SYSTEM_CLOCK } from './clock.ts'
import type { CoordinatorConfig } from './config.ts'
import type { CoordinatorEvents } from './events.ts'
import type { Farm } from './farm.ts'
import { Retention } from './retention.ts'
import { Term } from './term.ts'
import { Webhooks } from './webhooks/webhooks.ts'
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
  /** A batch is deleted: nobody is to remember it. */
  readonly onPurged: (batchId: string) => void
  readonly log: Logger
}

/** Takes part in the election and runs a Term while it leads. */
export class Leadership implements AsyncDisposable {
  readonly #options: LeadershipOptions
  #lease: LeaderLease | null = null
  #term: Term | null = null
  #onLeading: (isLeader: boolean) => void = () => {}

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
      replicas: config.natsReplicas,
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
    return this.#term?.batchIds ?? []
  }

  noteBatch(batchId: string): void {
    this.#term?.noteBatch(batchId)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const term = this.#term
    await this.#lease?.[Symbol.asyncDispose]()
    await term?.writeLast()
  }

  #begin(): void {
    const { config, store, nats, links, watchers, events, onPurged, log } = this.#options
    const { webhookKey: signingKey, webhookPrivate: mayBePrivate, keepBatchesDays: keepDays } = config
    const purged = (batchId: string): void => {
      this.#term?.forgetBatch(batchId)
      onPurged(batchId)
    }
    this.#term = new Term({
      config,
      store,
      nats,
      links,
      events,
      log,
      clock: SYSTEM_CLOCK,
      webhooks:
        signingKey === null ? null : new Webhooks({ store, events, clock: SYSTEM_CLOCK, signingKey, mayBePrivate }),
      retention:
        keepDays === 0 ? null : new Retention({ store, events, clock: SYSTEM_CLOCK, keepDays, onPurged: purged }),
      onChange: (batchId) => watchers.changed(batchId),
      onShardEnded: (batchId, shardId) => watchers.shardEnded(batchId, shardId),
    })
    events.leading(true)
    this.#onLeading(true)
  }

  #end(): void {
    this.#term?.stop()
    this.#term = null
    this.#options.events.leading(false)
    this.#onLeading(false)
    this.#options.links.closeAll()
    // Whoever watches here learns that he has to ask the next leader.
    this.#options.watchers.leadershipLost()
  }
}
