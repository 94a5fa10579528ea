import { Metrics } from '@darkroom/chassis'
import type { Logger } from '@darkroom/chassis'
import { createEvents, Term, WorkerLinks } from '@darkroom/coordinator/internal'
import type { Clock } from '@darkroom/coordinator/internal'
import { keys } from '@darkroom/proto'
import type { CancelDocument, ControlDocument } from '@darkroom/proto'
import type { VirtualNats } from './virtual-nats.ts'
import type { VirtualProcess } from './virtual-process.ts'
import type { VirtualStore } from './virtual-store.ts'
import type { Attachment, Orders } from './virtual-worker.ts'

export interface CoordinatorSettings {
  readonly window: number
  readonly heartbeatIntervalMs: number
  readonly workerLeaseMs: number
  readonly progressLeaseMs: number
  readonly auditShare: number
  readonly targetShardSeconds: number
}

export interface CoordinatorParts {
  readonly process: VirtualProcess
  readonly store: VirtualStore
  readonly nats: VirtualNats
  readonly settings: CoordinatorSettings
  /** After every change of a batch. */
  readonly onChange: (coordinator: VirtualCoordinator, batchId: string) => void
  /** Whatever it caught and did not expect. */
  readonly onError: (err: unknown) => void
  readonly onReaction: (reaction: Reaction) => void
}

/** What a coordinator does about trouble, as far as it is counted. */
export type Reaction = 'redispatched' | 'split' | 'stalled' | 'quarantined' | 'hedged' | 'differed' | 'audited'

const LEASE_MS = 6_000
const BEATS = 6
const TRUSTED = 2 / 3
const LATENCY_MS = 2
const POLL_MS = 100
const SILENT = createSilentLog()

/** Counted together: a set of metrics watches its process for as long as that lives. */
const EVENTS = createEvents(new Metrics(), SILENT)

/** A coordinator's process: the real term of leadership, with the lease and the streams of workers around it. */
export class VirtualCoordinator {
  /** How far its wall clock is from the truth. */
  clockOffsetMs = 0
  readonly #parts: CoordinatorParts
  readonly #links = new WorkerLinks()
  #term: Term | null = null
  #leadsUntilMs = 0
  #usurpsUntilMs = 0

  constructor(parts: CoordinatorParts) {
    this.#parts = parts
    void this.#contend()
  }

  get process(): VirtualProcess {
    return this.#parts.process
  }

  /** While it leads, or believes so. */
  get term(): Term | null {
    return this.process.isAlive ? this.#term : null
  }

  /** Believes for so long that it leads, whoever holds the lease. */
  usurp(forMs: number): void {
    this.#usurpsUntilMs = this.process.time.nowMs + forMs
    this.#lead()
  }

  /** SubmitBatch, by a client that does not ask again. */
  async submit(batchId: string): Promise<void> {
    const term = this.term
    try {
      await term?.ready
      await term?.farm.openBatch(batchId)
      term?.noteBatch(batchId)
    } catch {
      // The listing finds it.
    }
  }

  /** CancelBatch, as rpc/cancel-batch carries it out. */
  async cancel(batchId: string, onAcknowledged: () => void): Promise<void> {
    const { process, store } = this.#parts
    await this.#change(batchId, async (term, requestedAt) => {
      const wish: CancelDocument = { batchId, requestedAt }
      await store.putIfAbsent(keys.cancel(batchId), JSON.stringify(wish))
      term.farm.handle({ type: 'cancelRequested', batchId })
      while (this.#term === term) {
        if (term.farm.hasStopped(batchId)) return onAcknowledged()
        await process.delay(POLL_MS)
      }
    })
  }

  /** UpdateBatch, as rpc/update-batch carries it out. */
  async update(
    batchId: string,
    edit: (stored: ControlDocument) => ControlDocument,
    onAcknowledged: () => void,
  ): Promise<void> {
    await this.#change(batchId, async ({ farm }) => {
      await farm.controls.change(batchId, edit)
      onAcknowledged()
    })
  }

  /** What a client asks for who asks again where the call fails. */
  async #change(batchId: string, change: (term: Term, now: string) => Promise<void>): Promise<void> {
    const { process } = this.#parts
    const term = this.term
    if (term === null) return
    try {
      await term.ready
      await term.farm.openBatch(batchId)
      await change(term, new Date(process.time.nowMs).toISOString())
    } catch {
      // The caller is told, and asks again.
    }
  }

  /** A worker opens its stream. Null while this one does not lead. */
  attach(worker: { readonly id: string; readonly process: VirtualProcess }, orders: Orders): Attachment | null {
    const { process } = this
    const term = this.term
    if (term === null) return null
    const links = this.#links
    const outbox = links.open(worker.id)
    let isOpen = true
    process.connected(() => worker.process.after(LATENCY_MS, () => orders.closed()))
    // What was sent before still arrives.
    const close = (): void => {
      process.after(LATENCY_MS, () => {
        isOpen = false
        outbox.close()
      })
    }
    void (async () => {
      for await (const { order } of outbox) {
        if (order.case === 'cancelShard') worker.process.after(LATENCY_MS, () => orders.cancelShard(order.value))
        if (order.case === 'cancelItems') worker.process.after(LATENCY_MS, () => orders.cancelItems(order.value))
      }
      isOpen = false
      worker.process.after(LATENCY_MS, () => orders.closed())
      if (links.close(worker.id, outbox)) term.farm.handle({ type: 'workerDetached', workerId: worker.id })
    })()
    return {
      report: (report) => {
        process.after(LATENCY_MS, () => {
          if (isOpen) term.farm.handle({ type: 'workerSeen', worker: report })
        })
      },
      close: () => {
        close()
        worker.process.after(LATENCY_MS, () => orders.closed())
      },
    }
  }

  async #contend(): Promise<void> {
    const { process, nats } = this.#parts
    for (;;) {
      const startedMs = process.time.nowMs
      const isMine = await nats.holdLease(process.name, LEASE_MS).catch(() => null)
      if (isMine === true) {
        this.#leadsUntilMs = startedMs + LEASE_MS * TRUSTED
        this.#lead()
      } else if (isMine === false) this.#leadsUntilMs = 0
      await process.delay(LEASE_MS / BEATS)
      if (process.time.nowMs >= Math.max(this.#leadsUntilMs, this.#usurpsUntilMs)) this.#standDown()
    }
  }

  #lead(): void {
    if (this.#term !== null) return
    const { store, nats, settings, onChange, onError, onReaction } = this.#parts
    this.#term = new Term({
      webhooks: null,
      retention: null,
      config: { ...settings, tenants: new Map() },
      store: store.asObjectStore(),
      nats: nats.asFarmNats(),
      links: this.#links,
      events: {
        ...EVENTS,
        effectFailed: (_stage, err) => onError(err),
        redispatched: () => onReaction('redispatched'),
        shardEnded: (_batchId, _tenant, _shardId, { kind }) => kind === 'split' && onReaction('split'),
        workerStalled: () => onReaction('stalled'),
        workerQuarantined: () => onReaction('quarantined'),
        shardHedged: () => onReaction('hedged'),
        audited: () => onReaction('audited'),
        resultsDiffered: () => onReaction('differed'),
      },
      clock: this.#clock(),
      log: { ...SILENT, debug: (fields: { err?: unknown }) => onError(fields.err) } as Logger,
      onChange: (batchId) => onChange(this, batchId),
      onShardEnded: () => {},
    })
  }

  #standDown(): void {
    this.#term?.stop()
    this.#term = null
    this.#links.closeAll()
  }

  #clock(): Clock {
    const { process } = this
    return {
      nowMs: () => process.time.nowMs,
      date: () => new Date(process.time.nowMs + this.clockOffsetMs),
      delay: (ms, signal) =>
        new Promise((resolve) => {
          if (signal.aborted) return resolve()
          const end = (): void => {
            signal.removeEventListener('abort', end)
            resolve()
          }
          signal.addEventListener('abort', end)
          process.after(ms, end)
        }),
    }
  }
}

function createSilentLog(): Logger {
  const silent = (): void => {}
  return { debug: silent, info: silent, warn: silent, error: silent } as unknown as Logger
}
