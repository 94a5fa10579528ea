import type { ObjectStore } from '@darkroom/chassis'
import { keys, PRIOR_SECONDS_BETWEEN_LOSSES } from '@darkroom/proto'
import type { Engine } from '../engine/engine.ts'
import type { WorkerEvents } from '../events.ts'
import { orGivenUp } from '../or-given-up.ts'
import { checkpointInterval } from './checkpoint-interval.ts'
import type { HeldShard } from './held-shard.ts'
import { insist } from './insist.ts'
import { renderedBy } from './provenance.ts'
import { decodeProgress, encodeProgress } from './shard-progress.ts'
import type { FinishedImage } from './item-result.ts'
import type { ImagePlace, ProgressOwner, ShardProgress } from './shard-progress.ts'

export interface KeeperParts {
  readonly engine: Engine
  readonly store: ObjectStore
  readonly events: WorkerEvents
}

/** Seconds that a write is taken to cost until one was measured: too little costs one write too many. */
const FIRST_GUESS = 0.01
const WEIGHT_OF_NEWS = 0.2

/**
 * Keeps the progress of shards in the object store, so that another attempt goes on where this one stopped. All of it is for
 * speed alone: whatever is missing, late or cannot be read is rendered again, to the same bytes.
 */
export class ProgressKeeper {
  /** As the coordinator has measured it. */
  meanSecondsBetweenLosses = PRIOR_SECONDS_BETWEEN_LOSSES
  readonly #parts: KeeperParts
  readonly #writing = new Map<HeldShard, Promise<void>>()
  readonly #savedAtMs = new WeakMap<HeldShard, number>()
  #costSeconds: number | null = null

  constructor(parts: KeeperParts) {
    this.#parts = parts
  }

  /** Has the shard go on where earlier attempts stopped, as far as their progress is there and fits this worker. */
  async recall(shard: HeldShard): Promise<void> {
    const { store, events } = this.#parts
    const { assignment, signal } = shard
    if (assignment.isAudit) return
    const bytes = await insist(signal, () => store.get(keyOf(shard)))
    if (bytes === null) return
    shard.hasProgress = true
    const stored = decodeProgress(this.#ownerOf(shard), bytes)
    if (typeof stored === 'string') return events.progressIgnored(assignment, stored)
    const finished = await this.#thatAreThere(shard, stored)
    shard.resume({ ...stored, finished })
    events.progressResumed(assignment, { images: finished.size, steps: shard.stepsResumed })
  }

  /** Writes the progress of a shard that has run long enough since the last time. */
  ticked(shard: HeldShard, nowMs: number): void {
    if (shard.runsSinceMs === null || shard.givenUp !== null || this.#writing.has(shard)) return
    const savedAtMs = this.#savedAtMs.get(shard) ?? shard.runsSinceMs
    const dueSeconds = checkpointInterval(this.#costSeconds ?? FIRST_GUESS, this.meanSecondsBetweenLosses)
    if (nowMs - savedAtMs < 1000 * dueSeconds) return
    this.#savedAtMs.set(shard, nowMs)
    void this.save(shard, 'periodic', shard.signal)
  }

  /**
   * Writes how far a shard is. Never throws: a write that fails, or does not end before the signal, leaves what was there.
   */
  save(shard: HeldShard, reason: 'periodic' | 'drain', signal: AbortSignal): Promise<void> {
    const writing = this.#save(shard, reason, signal).finally(() => {
      if (this.#writing.get(shard) === writing) this.#writing.delete(shard)
    })
    this.#writing.set(shard, writing)
    return writing
  }

  /** Renders a shard no further, saves how far it is and hands it back for another worker to go on. */
  leave(shard: HeldShard, signal: AbortSignal): void {
    shard.leave(this.save(shard, 'drain', signal))
  }

  /** Deletes the progress of a shard that has its record. Best effort: the coordinator deletes what is left. */
  async forget(shard: HeldShard): Promise<void> {
    await this.#writing.get(shard)
    if (shard.hasProgress) await this.#parts.store.delete(keyOf(shard))
  }

  async #save(shard: HeldShard, reason: 'periodic' | 'drain', signal: AbortSignal): Promise<void> {
    // Nobody goes on with one: its shard has its record.
    if (shard.assignment.isAudit) return
    const { engine, store, events } = this.#parts
    const start = performance.now()
    const before = this.#writing.get(shard)
    try {
      const states = await orGivenUp(engine.snapshot(shard.jobs), signal, 'given up while its progress was read')
      shard.look(states)
      if (shard.givenUp === 'leaving') {
        shard.stopRendering()
        // Pictures that have left the engine are nearly there.
        await orGivenUp(shard.stored(), signal, 'given up while its pictures were stored')
      }
      if (before !== undefined) await orGivenUp(before, signal, 'given up while an earlier write was on its way')
      const begun = new Map([...shard.begun].filter(([place]) => !shard.finished.has(place)))
      const cpuStart = process.threadCpuUsage()
      const body = encodeProgress(this.#ownerOf(shard), { finished: shard.finished, begun })
      shard.hasProgress = true
      await store.put(keyOf(shard), body, { signal })
      // Waiting, for the engine or the store, costs nothing: the device renders meanwhile. What this thread computes may.
      const { user, system } = process.threadCpuUsage(cpuStart)
      this.#costSeconds = learned(this.#costSeconds, (user + system) / 1e6)
      const seconds = (performance.now() - start) / 1000
      events.progressWritten(shard.assignment, { reason, seconds, bytes: body.length, images: begun.size })
    } catch (err) {
      events.progressNotWritten(shard.assignment, err)
    }
  }

  /** Finished images whose pictures are in the store, whole. */
  async #thatAreThere(shard: HeldShard, { finished }: ShardProgress): Promise<Map<ImagePlace, FinishedImage>> {
    const { store } = this.#parts
    const found = await Promise.all(
      [...finished].map(async (entry) => {
        const { name, bytes } = entry[1].image
        const stored = await insist(shard.signal, () => store.head(keys.image(shard.assignment.batchId, name)))
        return stored?.size === bytes ? [entry] : []
      }),
    )
    return new Map(found.flat())
  }

  #ownerOf({ assignment: { batchId, shardId } }: HeldShard): ProgressOwner {
    return { batchId, shardId, renderedBy: renderedBy(this.#parts.engine.settings) }
  }
}

function learned(old: number | null, news: number): number {
  return old === null ? news : old + WEIGHT_OF_NEWS * (news - old)
}

function keyOf({ assignment: { batchId, shardId } }: HeldShard): string {
  return keys.progress(batchId, shardId)
}
