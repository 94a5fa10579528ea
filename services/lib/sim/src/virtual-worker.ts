import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { DarkroomError } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import {
  dayOf,
  differenceOf,
  joinRanges,
  keys,
  rangesOfMessages,
  ShardCompletionSchema,
  WorkerSchema,
  WorkerState,
} from '@darkroom/proto'
import type { CancelItems, ShardAssignment, ShardQueue, Worker } from '@darkroom/proto'
import type { Random } from './random.ts'
import { stepsOf, VirtualDevice } from './virtual-device.ts'
import type { Attempt, WorkerTraits } from './virtual-device.ts'
import type { VirtualNats } from './virtual-nats.ts'
import type { VirtualProcess } from './virtual-process.ts'
import type { VirtualStore } from './virtual-store.ts'

/** What a worker's stream to a coordinator looks like from its end. */
export interface Attachment {
  report(worker: Worker): void
  /** The stream breaks. */
  close(): void
}

export interface Orders {
  cancelShard(order: { batchId: string; shardId: string; attempt: number }): void
  cancelItems(order: CancelItems): void
  closed(): void
}

export interface WorkerParts {
  readonly process: VirtualProcess
  readonly random: Random
  readonly store: VirtualStore
  readonly nats: VirtualNats
  readonly traits: WorkerTraits
  readonly heartbeatMs: number
  /** Null while nobody leads. */
  readonly attach: (worker: VirtualWorker, orders: Orders) => Attachment | null
  readonly events: WorkerEvents
}

export interface WorkerEvents {
  renderBegun(worker: VirtualWorker, assignment: ShardAssignment): void
  /** @param seconds of the device that an attempt took, in whatever way it ended */
  renderEnded(worker: VirtualWorker, seconds: number): void
  swapped(worker: VirtualWorker, seconds: number): void
  /** An item of it took the process down. */
  killedBy(worker: VirtualWorker, assignment: ShardAssignment): void
}

interface Held extends Attempt {
  readonly delivery: ShardDelivery
}

const SHARDS_IN_HAND = 2
const PULL_EXPIRES_MS = 5_000
const PULL_RETRY_MS = 500
const RETRY_MS = 1_000
const RETURN_DELAY_MS = 5_000
const WORKING_INTERVAL_MS = 20_000
const RECONNECT_MS = { low: 100, high: 1_500 }

/** A worker as the farm sees it: the loop, the order of its writes and the patience of services/worker, with a device that only takes time. */
export class VirtualWorker {
  readonly id: string
  readonly #device: VirtualDevice
  readonly #parts: WorkerParts
  readonly #startedMs: number
  readonly #held = new Map<string, Held>()
  #attachment: Attachment | null = null
  #isDraining = false
  /** Of the store and of NATS. */
  #tries = 0
  #wake = (): void => {}

  constructor(id: string, parts: WorkerParts) {
    this.id = id
    this.#parts = parts
    const { process, random, traits, events } = parts
    this.#startedMs = process.time.nowMs
    this.#device = new VirtualDevice({
      workerId: id,
      process,
      random,
      traits,
      renderBegun: (assignment) => events.renderBegun(this, assignment),
      renderEnded: (seconds) => events.renderEnded(this, seconds),
      swapped: (seconds) => events.swapped(this, seconds),
      kill: (assignment) => {
        events.killedBy(this, assignment)
        this.crash()
      },
    })
    void this.#attach()
    void this.#pull('batch')
    void this.#pull('now')
  }

  get process(): VirtualProcess {
    return this.#parts.process
  }

  get isAttached(): boolean {
    return this.#attachment !== null
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  get held(): readonly ShardAssignment[] {
    return this.#held
      .values()
      .map(({ delivery }) => delivery.assignment)
      .toArray()
  }

  /** Whether it goes on with a shard that it holds. */
  goesOnWith(batchId: string, shardId: string): boolean {
    const held = this.#held.get(`${batchId}/${shardId}`)
    return held !== undefined && !held.isGivenUp && !held.assignment.isAudit
  }

  get traits(): WorkerTraits {
    return this.#parts.traits
  }

  /** kill -9: its connections break, so that a coordinator hears of it. */
  crash(): void {
    this.#attachment?.close()
    this.process.kill()
  }

  /** Its machine is gone, or its network: nobody hears anything. */
  vanish(): void {
    this.process.kill()
  }

  breakLink(): void {
    this.#attachment?.close()
  }

  /** A spot notice: takes nothing new, hands back at the end of the grace what is not done, says goodbye and goes. */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true
    this.#wake()
    const deadlineMs = this.process.time.nowMs + graceMs
    while (this.#held.size > 0 && this.process.time.nowMs < deadlineMs) await this.process.delay(100)
    for (const held of this.#held.values()) {
      held.isGivenUp = true
      held.delivery.nak(0)
    }
    this.#held.clear()
    this.#attachment?.report(this.#report())
    await this.process.delay(100)
    this.crash()
  }

  async #attach(): Promise<void> {
    const { process, random, attach, heartbeatMs } = this.#parts
    for (;;) {
      const stream = { isOpen: true }
      const closed = (): void => {
        stream.isOpen = false
      }
      const cancelShard: Orders['cancelShard'] = ({ batchId, shardId, attempt }) => {
        const held = this.#held.get(`${batchId}/${shardId}`)
        if (held !== undefined && held.delivery.assignment.attempt <= attempt) held.isGivenUp = true
      }
      const cancelItems: Orders['cancelItems'] = ({ batchId, shardId, items }) => {
        const held = this.#held.get(`${batchId}/${shardId}`)
        if (held !== undefined) held.cancelled = joinRanges(held.cancelled, rangesOfMessages(items))
      }
      this.#attachment = attach(this, { cancelShard, cancelItems, closed })
      while (this.#attachment !== null && stream.isOpen) {
        this.#attachment.report(this.#report())
        await process.delay(heartbeatMs)
      }
      this.#attachment = null
      await process.delay(random.between(RECONNECT_MS.low, RECONNECT_MS.high))
    }
  }

  #report(): Worker {
    const running = [...this.#held.values()].map(({ assignment, stepsDone }) => {
      const { batchId, shardId, attempt } = assignment
      return { batchId, shardId, attempt, stepsDone: Math.floor(stepsDone), stepsTotal: stepsOf(assignment) }
    })
    const { resident, loads, activity, renderSeconds } = this.#device
    const { nowMs } = this.process.time
    const wallSeconds = (nowMs - this.#startedMs) / 1000
    // No farm runs over midnight.
    const deviceDay = { day: dayOf(new Date(nowMs)), wallSeconds, renderSeconds, loadSeconds: loads.seconds }
    const working = running.length > 0 ? WorkerState.RENDERING : WorkerState.IDLE
    return create(WorkerSchema, {
      id: this.id,
      connectedAt: timestampFromMs(this.#startedMs),
      pool: 'default',
      state: this.#isDraining ? WorkerState.DRAINING : working,
      residentCheckpoints: resident === '' ? [] : [resident],
      checkpointLoads: loads.count,
      checkpointLoadSeconds: loads.seconds,
      activity: BigInt(activity + this.#tries),
      running,
      deviceDays: [deviceDay],
    })
  }

  async #pull(queue: ShardQueue): Promise<void> {
    const { process, nats } = this.#parts
    const stop = new AbortController()
    for (;;) {
      if (this.#isDraining) return
      if (queue === 'batch' && this.#shardsOfBatches >= SHARDS_IN_HAND) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      try {
        const delivery = await nats.nextShard(this.id, { queue, expiresMs: PULL_EXPIRES_MS, signal: stop.signal })
        if (delivery === null) continue
        if (this.#isDraining) return delivery.nak(0)
        this.#take(delivery)
      } catch {
        await process.delay(PULL_RETRY_MS)
      }
    }
  }

  get #shardsOfBatches(): number {
    return this.#held
      .values()
      .filter(({ assignment }) => !assignment.isInteractive)
      .toArray().length
  }

  #take(delivery: ShardDelivery): void {
    const { batchId, shardId } = delivery.assignment
    const key = `${batchId}/${shardId}`
    if (this.#held.has(key)) return delivery.nak(WORKING_INTERVAL_MS)
    const { assignment } = delivery
    const cancelled = rangesOfMessages(assignment.cancelledItems)
    const held: Held = { delivery, assignment, cancelled, isGivenUp: false, stepsDone: 0 }
    this.#held.set(key, held)
    this.#attachment?.report(this.#report())
    void this.#keepAlive(held)
    void this.#handle(held).finally(() => {
      if (this.#held.get(key) === held) this.#held.delete(key)
      this.#wake()
    })
  }

  async #keepAlive({ delivery }: Held): Promise<void> {
    const { batchId, shardId } = delivery.assignment
    for (;;) {
      await this.process.delay(WORKING_INTERVAL_MS)
      if (this.#held.get(`${batchId}/${shardId}`)?.delivery !== delivery) return
      delivery.working()
    }
  }

  async #handle(held: Held): Promise<void> {
    const { store, nats } = this.#parts
    const { delivery } = held
    const { assignment } = delivery
    const key = keys.result(assignment.batchId, assignment.shardId)
    const tell = (word: MessageInitShape<typeof ShardCompletionSchema>): Promise<void> =>
      nats.publishCompletion(
        create(ShardCompletionSchema, {
          batchId: assignment.batchId,
          shardId: assignment.shardId,
          attempt: assignment.attempt,
          workerId: this.id,
          isAudit: assignment.isAudit,
          ...word,
        }),
      )
    let word: MessageInitShape<typeof ShardCompletionSchema> = { committed: false }
    try {
      if ((await this.#insist(held, () => store.head(key))) === null || assignment.isAudit) {
        const record = await this.#device.render(held)
        const isFirst =
          !assignment.isAudit &&
          (await this.#insist(held, () => store.putIfAbsent(key, JSON.stringify(record)))) === 'created'
        if (isFirst) word = { committed: true }
        else word = { ...word, ...differenceOf(record, await this.#insist(held, () => store.getJson(key))) }
      }
      await this.#insist(held, () => tell(word))
      await delivery.ack()
    } catch (reason) {
      const { code, message } = DarkroomError.from(reason)
      if (code === 'CANCELLED') {
        if (!this.#isDraining) await delivery.ack().catch(() => {})
        return
      }
      if (code !== 'INTERNAL') return delivery.nak(RETURN_DELAY_MS)
      await tell({ committed: false, errorCode: code, errorMessage: message })
        .then(() => delivery.ack())
        .catch(() => {})
    }
  }

  #assertWanted(held: Held): void {
    if (held.isGivenUp) throw new DarkroomError('CANCELLED', 'given up')
  }

  async #insist<T>(held: Held, action: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#assertWanted(held)
      this.#tries++
      try {
        return await action()
      } catch {
        await this.process.delay(RETRY_MS)
      }
    }
  }
}
