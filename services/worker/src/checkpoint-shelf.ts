import { DarkroomError, fetchCheckpoint } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import type { Engine } from './engine/engine.ts'
import type { WorkerEvents } from './events.ts'

/** The checkpoints that the engine has in memory; each is fetched, verified and loaded once, however many shards ask. */
export class CheckpointShelf {
  readonly #store: ObjectStore
  readonly #engine: Engine
  readonly #events: WorkerEvents
  readonly #cacheDir: string
  readonly #loading = new Map<string, Promise<void>>()
  readonly #resident = new Set<string>()

  constructor(store: ObjectStore, engine: Engine, events: WorkerEvents, cacheDir: string) {
    this.#store = store
    this.#engine = engine
    this.#events = events
    this.#cacheDir = cacheDir
  }

  get resident(): readonly string[] {
    return [...this.#resident]
  }

  /** @throws DarkroomError CHECKPOINT_MISMATCH, CHECKPOINT_INVALID, NOT_FOUND, STORE_UNAVAILABLE */
  ensure(pin: string): Promise<void> {
    let loading = this.#loading.get(pin)
    if (loading === undefined) {
      loading = this.#load(pin)
      this.#loading.set(pin, loading)
      // A failure is not remembered: the next shard tries again.
      loading.catch(() => this.#loading.delete(pin))
    }
    return loading
  }

  async #load(pin: string): Promise<void> {
    const start = performance.now()
    try {
      const folder = await fetchCheckpoint(this.#store, pin, this.#cacheDir)
      await this.#engine.load(pin, folder)
      this.#resident.add(pin)
      this.#events.checkpointLoaded(pin, (performance.now() - start) / 1000)
    } catch (reason) {
      this.#events.checkpointRefused(pin, reason)
      throw DarkroomError.from(reason)
    }
  }
}
