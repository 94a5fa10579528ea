import { DarkroomError, fetchCheckpoint } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import type { Engine } from './engine/engine.ts'
import type { WorkerEvents } from './events.ts'
import { orGivenUp } from './or-given-up.ts'

interface Entry {
  readonly loading: Promise<void>
  isResident: boolean
  holders: number
}

export interface ShelfOptions {
  readonly store: ObjectStore
  readonly engine: Engine
  readonly events: WorkerEvents
  readonly cacheDir: string
  /** Checkpoints kept in memory; more only while more are in use at once. */
  readonly capacity: number
}

/** The checkpoints in the engine's memory: each is fetched, verified and loaded once, however many shards ask. */
export class CheckpointShelf implements Disposable {
  readonly #options: ShelfOptions
  readonly #closing = new AbortController()
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>()

  constructor(options: ShelfOptions) {
    this.#options = options
  }

  get resident(): readonly string[] {
    return [...this.#entries].filter(([, { isResident }]) => isResident).map(([pin]) => pin)
  }

  /**
   * Keeps a checkpoint in memory until what it returns is disposed.
   * @throws DarkroomError CHECKPOINT_MISMATCH, CHECKPOINT_INVALID, NOT_FOUND, STORE_UNAVAILABLE, or CANCELLED by the signal
   */
  async hold(pin: string, signal: AbortSignal): Promise<Disposable> {
    const entry = this.#entries.get(pin) ?? this.#open(pin)
    this.#entries.delete(pin)
    this.#entries.set(pin, entry)
    entry.holders++
    const release = (): void => {
      entry.holders--
    }
    try {
      await orGivenUp(entry.loading, signal, 'given up while its checkpoint was loading')
    } catch (reason) {
      release()
      throw reason
    }
    return { [Symbol.dispose]: release }
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new DarkroomError('CANCELLED', 'the worker is leaving'))
  }

  #open(pin: string): Entry {
    this.#makeRoom()
    const entry: Entry = { loading: this.#load(pin), isResident: false, holders: 0 }
    entry.loading.then(
      () => {
        entry.isResident = true
        this.#options.events.residentChanged(this.resident.length)
      },
      // A failure is not remembered: the next shard tries again.
      () => this.#entries.delete(pin),
    )
    return entry
  }

  #makeRoom(): void {
    const { engine, events, capacity } = this.#options
    for (const [pin, { isResident, holders }] of this.#entries) {
      if (this.#entries.size < capacity) return
      if (!isResident || holders > 0) continue
      engine.unload(pin)
      this.#entries.delete(pin)
      events.checkpointUnloaded(pin)
    }
  }

  async #load(pin: string): Promise<void> {
    const { store, engine, events, cacheDir } = this.#options
    const start = performance.now()
    try {
      const folder = await fetchCheckpoint(store, pin, cacheDir, { signal: this.#closing.signal })
      await engine.load(pin, folder)
      events.checkpointLoaded(pin, (performance.now() - start) / 1000)
    } catch (reason) {
      events.checkpointRefused(pin, reason)
      throw DarkroomError.from(reason)
    }
  }
}
