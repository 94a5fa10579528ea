import type { FarmNats, Logger, ShardDelivery } from '@darkroom/chassis'
import type { CancelItems, CancelShard, ShardQueue } from '@darkroom/proto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Tick } from '../engine/messages.ts'
import { HeldShard } from './held-shard.ts'
import { handleShard } from './handle-shard.ts'
import type { ShardParts } from './handle-shard.ts'

export interface ShardLoopOptions extends ShardParts {
  readonly nats: FarmNats
  readonly log: Logger
  /** Rows of a UNet call: with fewer images waiting to start, the next shard is taken. */
  readonly maxRows: number
  /** Told of each shard that comes into its hands. */
  readonly onTaken: () => void
}

/** Of batches: one renders while the next one's lanes wait, so that the engine never runs dry at a shard's end. */
const SHARDS_IN_HAND = 2
/** Of the grace, what is kept for the last look at the shards that are still here. */
const SAVE_MS = 2_000
const PULL_EXPIRES_MS = 5_000
const PULL_RETRY_MS = 500
const WORKING_INTERVAL_MS = 20_000

/** Pulls shards and handles them. It needs NATS and the object store, not the coordinator. */
export class ShardLoop {
  readonly #options: ShardLoopOptions
  readonly #held = new Map<string, HeldShard>()
  readonly #handling = new Set<Promise<void>>()
  readonly #pulling = new AbortController()
  #finished: Promise<unknown> = Promise.resolve()
  #wake = (): void => {}

  constructor(options: ShardLoopOptions) {
    this.#options = options
  }

  get held(): readonly HeldShard[] {
    return [...this.#held.values()]
  }

  start(): void {
    this.#finished = Promise.all([this.#pull('batch'), this.#pull('now')])
  }

  ticked(tick: Tick): void {
    const nowMs = performance.now()
    for (const shard of this.#held.values()) {
      shard.ticked(tick, nowMs)
      this.#options.progress.ticked(shard, nowMs)
    }
    this.#wake()
  }

  /** Gives an attempt up at its next step; a newer attempt of the shard goes on. */
  cancel({ batchId, shardId, attempt }: CancelShard): void {
    const shard = this.#held.get(`${batchId}/${shardId}`)
    if (shard !== undefined && shard.assignment.attempt <= attempt) shard.giveUp('cancelled')
  }

  cancelItems({ batchId, shardId, items }: CancelItems): void {
    this.#held.get(`${batchId}/${shardId}`)?.cancelItems(items)
    this.#wake()
  }

  /**
   * Takes nothing new and saves the progress of what runs. What will end within the grace, at the rate that it had, goes on;
   * all else is handed back at once, and at the end of the grace what is still here.
   */
  async drain(graceMs: number): Promise<void> {
    this.#pulling.abort()
    const { progress } = this.#options
    const deadline = AbortSignal.timeout(Math.max(graceMs, SAVE_MS))
    const runMs = Math.max(graceMs - SAVE_MS, 0)
    const handBack = (shard: HeldShard): void => {
      // With its record written, only a NATS that is away can hold a shard up.
      if (shard.runsSinceMs === null || shard.hasRecord) shard.giveUp('leaving')
      else if (shard.givenUp === null) progress.leave(shard, deadline)
    }
    const nowMs = performance.now()
    for (const shard of this.held) {
      if (shard.hasRecord || 1000 * shard.secondsLeft(nowMs) > runMs) handBack(shard)
      else void progress.save(shard, 'drain', deadline)
    }
    const timer = setTimeout(() => this.held.forEach(handBack), runMs)
    await this.#finished
    // What was delivered at the last moment.
    for (const shard of this.held) if (shard.runsSinceMs === null) handBack(shard)
    await Promise.all(this.#handling)
    clearTimeout(timer)
  }

  /** What somebody waits for is taken at once: the coordinator gives no more of it than a worker can hold. */
  #wantsMore(queue: ShardQueue): boolean {
    const ofBatches = this.held.filter(({ assignment }) => !assignment.isInteractive)
    if (queue === 'now' || ofBatches.length === 0) return true
    const toStart = ofBatches.reduce((sum, { imagesToStart }) => sum + imagesToStart, 0)
    return ofBatches.length < SHARDS_IN_HAND && toStart < this.#options.maxRows
  }

  async #pull(queue: ShardQueue): Promise<void> {
    const { nats, workerId, log } = this.#options
    const signal = this.#pulling.signal
    signal.addEventListener('abort', () => this.#wake(), { once: true })
    while (!signal.aborted) {
      if (!this.#wantsMore(queue)) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      try {
        const delivery = await nats.nextShard(workerId, { queue, expiresMs: PULL_EXPIRES_MS, signal })
        if (delivery !== null) this.#take(delivery)
      } catch (err) {
        if (signal.aborted) return
        log.debug({ err }, 'no shard can be pulled at the moment')
        await delay(PULL_RETRY_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  #take(delivery: ShardDelivery): void {
    const { batchId, shardId } = delivery.assignment
    const id = `${batchId}/${shardId}`
    // Delivered twice into the same hands: the first goes on, the second is only a reminder.
    if (this.#held.has(id)) return delivery.nak(WORKING_INTERVAL_MS)
    const shard = new HeldShard(delivery)
    this.#held.set(id, shard)
    this.#options.onTaken()
    const working = setInterval(() => delivery.working(), WORKING_INTERVAL_MS)
    const handling = handleShard(this.#options, shard).finally(() => {
      clearInterval(working)
      this.#held.delete(id)
      this.#handling.delete(handling)
      this.#wake()
    })
    this.#handling.add(handling)
  }
}
