import { create } from '@bufbuild/protobuf'
import { DarkroomError } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import { keys, ShardCompletionSchema, WorkerSchema, WorkerState } from '@darkroom/proto'
import type { CommitRecord, ItemResult, ShardAssignment, Worker } from '@darkroom/proto'
import { SECONDS_PER_STEP } from './item.ts'
import type { Random } from './random.ts'
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
  closed(): void
}

export interface WorkerTraits {
  /** Seconds of work in a second. */
  speed: number
  swapSeconds: number
  /** Before the first step of each shard. */
  firstStepSeconds: number
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

interface Held {
  readonly delivery: ShardDelivery
  isGivenUp: boolean
  hasRecord: boolean
}

const SHARDS_IN_HAND = 2
const PULL_EXPIRES_MS = 5_000
const PULL_RETRY_MS = 500
const RETRY_MS = 1_000
const RETURN_DELAY_MS = 5_000
const WORKING_INTERVAL_MS = 20_000
const RECONNECT_MS = { low: 200, high: 2_000 }
const PIN = 'virtual'
/** Of a render, in which it looks up. */
const PARTS = 4

/** A worker as the farm sees it: the loop, the order of its writes and the patience of services/worker, with a device that only takes time. */
export class VirtualWorker {
  readonly id: string
  /** Of the checkpoint in its memory; one fits. */
  resident = ''
  #loads = { count: 0, seconds: 0 }
  readonly #parts: WorkerParts
  readonly #held = new Map<string, Held>()
  #attachment: Attachment | null = null
  #isDraining = false
  #device: Promise<void> = Promise.resolve()
  #wake = (): void => {}

  constructor(id: string, parts: WorkerParts) {
    this.id = id
    this.#parts = parts
    void this.#attach()
    void this.#pull()
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
      this.#attachment = attach(this, { cancelShard, closed })
      while (this.#attachment !== null && stream.isOpen) {
        this.#attachment.report(this.#report())
        await process.delay(heartbeatMs)
      }
      this.#attachment = null
      await process.delay(random.between(RECONNECT_MS.low, RECONNECT_MS.high))
    }
  }

  #report(): Worker {
    const running = this.held.map(({ batchId, shardId, attempt }) => ({ batchId, shardId, attempt }))
    const working = running.length > 0 ? WorkerState.RENDERING : WorkerState.IDLE
    return create(WorkerSchema, {
      id: this.id,
      pool: 'default',
      state: this.#isDraining ? WorkerState.DRAINING : working,
      residentCheckpoints: this.resident === '' ? [] : [this.resident],
      checkpointLoads: this.#loads.count,
      checkpointLoadSeconds: this.#loads.seconds,
      running,
    })
  }

  async #pull(): Promise<void> {
    const { process, nats } = this.#parts
    const stop = new AbortController()
    for (;;) {
      if (this.#isDraining) return
      if (this.#held.size >= SHARDS_IN_HAND) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      try {
        const delivery = await nats.nextShard(this.id, { expiresMs: PULL_EXPIRES_MS, signal: stop.signal })
        if (delivery === null) continue
        if (this.#isDraining) return delivery.nak(0)
        this.#take(delivery)
      } catch {
        await process.delay(PULL_RETRY_MS)
      }
    }
  }

  #take(delivery: ShardDelivery): void {
    const { batchId, shardId } = delivery.assignment
    const key = `${batchId}/${shardId}`
    if (this.#held.has(key)) return delivery.nak(WORKING_INTERVAL_MS)
    const held: Held = { delivery, isGivenUp: false, hasRecord: false }
    this.#held.set(key, held)
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
    const tell = (word: { committed: boolean; errorCode?: string; errorMessage?: string }): Promise<void> =>
      nats.publishCompletion(
        create(ShardCompletionSchema, {
          batchId: assignment.batchId,
          shardId: assignment.shardId,
          attempt: assignment.attempt,
          workerId: this.id,
          ...word,
        }),
      )
    let committed = false
    try {
      if ((await this.#insist(held, () => store.head(key))) === null) {
        const record = await this.#render(held)
        committed = (await this.#insist(held, () => store.putIfAbsent(key, JSON.stringify(record)))) === 'created'
      }
      held.hasRecord = true
      await this.#insist(held, () => tell({ committed }))
      await delivery.ack()
    } catch (reason) {
      const { code, message } = DarkroomError.from(reason)
      if (code === 'CANCELLED') {
        if (!this.#isDraining) await delivery.ack().catch(() => {})
        return
      }
      if (code !== 'CHECKPOINT_MISMATCH') return delivery.nak(RETURN_DELAY_MS)
      await tell({ committed: false, errorCode: code, errorMessage: message })
        .then(() => delivery.ack())
        .catch(() => {})
    }
  }

  /** One shard after the other. */
  #render(held: Held): Promise<CommitRecord> {
    const done = this.#device.then(() => this.#renderAlone(held))
    this.#device = done.then(
      () => {},
      () => {},
    )
    return done
  }

  async #renderAlone(held: Held): Promise<CommitRecord> {
    const { process, random, traits, events } = this.#parts
    const { assignment } = held.delivery
    this.#assertWanted(held)
    if (this.resident !== assignment.checkpoint) {
      await process.delay(1000 * traits.swapSeconds)
      this.resident = assignment.checkpoint
      this.#loads = { count: this.#loads.count + 1, seconds: this.#loads.seconds + traits.swapSeconds }
      events.swapped(this, traits.swapSeconds)
    }
    this.#assertWanted(held)
    const startedAt = new Date(process.time.nowMs).toISOString()
    events.renderBegun(this, assignment)
    const steps = assignment.items.reduce((sum, { numInferenceSteps }) => sum + numInferenceSteps, 0)
    const work = steps * SECONDS_PER_STEP * random.between(0.9, 1.1)
    let seconds = 0
    await process.delay(1000 * traits.firstStepSeconds)
    if (assignment.items.some(({ prompt }) => prompt === 'kills')) {
      events.killedBy(this, assignment)
      this.crash()
    }
    // At the speed that it has by then. A shard that is given up stops at its next part.
    for (let left = PARTS; left > 0; left--) {
      const partSeconds = work / PARTS / traits.speed
      await process.delay(1000 * partSeconds)
      seconds += partSeconds
      this.#assertWanted(held)
    }
    events.renderEnded(this, seconds)
    if (assignment.items.some(({ prompt }) => prompt === 'refused'))
      throw new DarkroomError('CHECKPOINT_MISMATCH', 'the virtual device cannot render this')
    return {
      kind: 'rendered',
      batchId: assignment.batchId,
      shardId: assignment.shardId,
      attempt: assignment.attempt,
      committedAt: new Date(process.time.nowMs).toISOString(),
      workerId: this.id,
      checkpoint: assignment.checkpoint,
      startedAt,
      deviceSeconds: seconds,
      items: assignment.items.map((item) => resultOf(item, seconds / assignment.items.length)),
    }
  }

  #assertWanted(held: Held): void {
    if (held.isGivenUp) throw new DarkroomError('CANCELLED', 'given up')
  }

  async #insist<T>(held: Held, action: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#assertWanted(held)
      try {
        return await action()
      } catch {
        await this.process.delay(RETRY_MS)
      }
    }
  }
}

/** Pixels depend on the request alone, and so does the name of a picture. */
function resultOf(
  { index, customId, prompt, seed, ...item }: ShardAssignment['items'][number],
  seconds: number,
): ItemResult {
  if (prompt === 'fails')
    return { index, customId, state: 'failed', code: 'RENDER_FAILED', message: 'a poisonous item' }
  const { scheduler, numInferenceSteps, width, height } = item
  const sha256 = `${PIN}-${index}-${seed}`
  const image = { n: 0, seed: Number(seed), name: `${index}-0-${sha256}.png`, sha256, bytes: 1, width, height }
  return { index, customId, state: 'rendered', scheduler, numInferenceSteps, images: [image], seconds, warnings: [] }
}
