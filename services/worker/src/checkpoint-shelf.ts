import { DarkroomError, fetchCheckpoint } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import type { WorkerMemory } from './device/memory.ts'
import type { Engine } from './engine/engine.ts'
import { isOutOfMemory } from './engine/out-of-memory.ts'
import type { WorkerEvents } from './events.ts'
import { orGivenUp } from './or-given-up.ts'

interface Entry {
  /** Resolves to the seconds that it took. */
  readonly loading: Promise<number>
  isResident: boolean
  holders: number
  /** What it takes of the memory. */
  bytes: number
  idle: NodeJS.Timeout | null
}

/** A checkpoint that is kept in memory until this is disposed. */
export interface HeldCheckpoint extends Disposable {
  /** That it was fetched and loaded for this holder; 0 where it was here, or came for another. */
  readonly loadSeconds: number
}

export interface ShelfOptions {
  readonly store: ObjectStore
  readonly engine: Engine
  readonly events: WorkerEvents
  readonly cacheDir: string
  /** Room for checkpoints; more is taken only while more of them are in use at once. */
  readonly memory: Pick<WorkerMemory, 'capacityBytes' | 'usedBytes'>
  /** After so long without use a checkpoint leaves; 0 for never. */
  readonly idleUnloadMs: number
  /** After so many loads `wornOut` is called, once; 0 for never. */
  readonly maxLoads: number
  readonly wornOut: () => void
}

/**
 * The checkpoints in the engine's memory: each is fetched, verified and loaded once, however many shards ask. Which leave is
 * decided by measured memory, the least recently used first.
 */
export class CheckpointShelf implements Disposable {
  readonly #options: ShelfOptions
  readonly #closing = new AbortController()
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>()
  /** What checkpoints took when they were here. */
  readonly #measured = new Map<string, number>()
  #loading: Promise<unknown> = Promise.resolve()
  #loads = 0
  #loadSeconds = 0

  constructor(options: ShelfOptions) {
    this.#options = options
  }

  get resident(): readonly string[] {
    return [...this.#entries].filter(([, { isResident }]) => isResident).map(([pin]) => pin)
  }

  /** Checkpoints that were loaded since the start, and how long that took, fetching included. */
  get loads(): number {
    return this.#loads
  }

  get loadSeconds(): number {
    return this.#loadSeconds
  }

  /**
   * Keeps a checkpoint in memory until what it returns is disposed.
   * @throws DarkroomError CHECKPOINT_MISMATCH, CHECKPOINT_INVALID, NOT_FOUND, STORE_UNAVAILABLE, or CANCELLED by the signal
   */
  async hold(pin: string, signal: AbortSignal): Promise<HeldCheckpoint> {
    const known = this.#entries.get(pin)
    const entry = known ?? this.#open(pin)
    this.#entries.delete(pin)
    this.#entries.set(pin, entry)
    entry.holders++
    if (entry.idle !== null) clearTimeout(entry.idle)
    const release = (): void => {
      entry.holders--
      this.#waitForUse(pin, entry)
    }
    try {
      await orGivenUp(entry.loading, signal, 'given up while its checkpoint was loading')
    } catch (reason) {
      release()
      throw reason
    }
    return { loadSeconds: known === undefined ? await entry.loading : 0, [Symbol.dispose]: release }
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new DarkroomError('CANCELLED', 'the worker is leaving'))
    for (const { idle } of this.#entries.values()) if (idle !== null) clearTimeout(idle)
  }

  #open(pin: string): Entry {
    const loading = this.#options.engine.clock.load(() => this.#load(pin))
    const entry: Entry = { loading, isResident: false, holders: 0, bytes: 0, idle: null }
    entry.loading.then(
      () => {
        entry.isResident = true
        entry.bytes = this.#measured.get(pin)!
        this.#options.events.residentChanged(this.resident.length)
        this.#waitForUse(pin, entry)
      },
      // A failure is not remembered: the next shard tries again.
      () => this.#entries.delete(pin),
    )
    return entry
  }

  #waitForUse(pin: string, entry: Entry): void {
    const { idleUnloadMs } = this.#options
    if (idleUnloadMs === 0 || entry.holders > 0 || !entry.isResident) return
    entry.idle = setTimeout(() => this.#unload(pin), idleUnloadMs)
  }

  /** Lets go of what nobody uses until so many bytes are free, or nothing is left to let go of. @returns whether anything went */
  #makeRoom(bytes: number): boolean {
    const before = this.#entries.size
    for (const [pin, { isResident, holders }] of this.#entries) {
      const taken = this.#entries.values().reduce((sum, entry) => sum + entry.bytes, 0)
      if (taken + bytes <= this.#options.memory.capacityBytes) break
      if (isResident && holders === 0) this.#unload(pin)
    }
    return this.#entries.size < before
  }

  #unload(pin: string): void {
    const { engine, events } = this.#options
    const entry = this.#entries.get(pin)
    if (entry === undefined) return
    if (entry.idle !== null) clearTimeout(entry.idle)
    engine.unload(pin)
    this.#entries.delete(pin)
    events.checkpointUnloaded(pin)
    events.residentChanged(this.resident.length)
  }

  /** @returns seconds */
  async #load(pin: string): Promise<number> {
    const { store, engine, events, cacheDir, memory, maxLoads, wornOut } = this.#options
    const start = performance.now()
    try {
      const folder = await fetchCheckpoint(store, pin, cacheDir, {
        signal: this.#closing.signal,
        onBytes: () => events.checkpointRead(),
      })
      const files = await sizeOf(folder)
      // One after the other, so that what the memory grows by is this checkpoint's.
      const loaded = this.#loading.then(async () => {
        this.#makeRoom(this.#measured.get(pin) ?? files)
        const before = await memory.usedBytes()
        await engine.load(pin, folder).catch(async (reason: unknown) => {
          // Others may use the device too, so that less is free than is counted here.
          if (!isOutOfMemory(reason) || !this.#makeRoom(Infinity)) throw reason
          await engine.load(pin, folder)
        })
        const bytes = Math.max(files, (await memory.usedBytes()) - before)
        this.#measured.set(pin, bytes)
        // It may have taken more than its files said.
        this.#makeRoom(bytes)
      })
      this.#loading = loaded.catch(() => {})
      await loaded
      const seconds = (performance.now() - start) / 1000
      this.#loadSeconds += seconds
      events.checkpointLoaded(pin, seconds, this.#measured.get(pin)!)
      if (++this.#loads === maxLoads) wornOut()
      return seconds
    } catch (reason) {
      events.checkpointRefused(pin, reason)
      throw DarkroomError.from(reason)
    }
  }
}

/** Bytes of a checkpoint's graphs: the least that they take in memory. */
async function sizeOf(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true })
  const graphs = names.filter((name) => path.basename(name).startsWith('model.onnx'))
  const sizes = await Promise.all(graphs.map(async (name) => (await stat(path.join(folder, name))).size))
  return sizes.reduce((a, b) => a + b, 0)
}
