import { setTimeout as delay } from 'node:timers/promises'
import type { ChosenDevice } from '../engine/messages.ts'
import type { GpuReading } from './nvidia-smi.ts'

const MIB = 2 ** 20
/** Shares of the memory that checkpoints may take where nobody says how much: pictures on their way want some too. */
const GPU_SHARE = 0.8
const PROCESS_SHARE = 0.5
/** nvidia-smi tells once a second. */
const READING_TIMEOUT_MS = 3_000

/** The memory that checkpoints are loaded into: a GPU's by nvidia-smi, else the process's own. */
export class WorkerMemory {
  readonly #asked: number | null
  readonly #kind: ChosenDevice['kind']
  #reading: GpuReading | null = null
  #next = Promise.withResolvers<void>()

  /** @param mib what checkpoints may take; null for the default */
  constructor(mib: number | null, kind: ChosenDevice['kind']) {
    this.#asked = mib === null ? null : mib * MIB
    this.#kind = kind
  }

  /** Bytes that checkpoints may take. */
  get capacityBytes(): number {
    if (this.#asked !== null) return this.#asked
    const total = this.#reading?.memoryTotalBytes ?? 0
    return total > 0 ? total * GPU_SHARE : process.availableMemory() * PROCESS_SHARE
  }

  /** Bytes that are in use: a GPU's from now on, not of a moment ago. */
  async usedBytes(): Promise<number> {
    if (this.#kind === 'cpu') return process.memoryUsage.rss()
    await Promise.race([this.#next.promise, delay(READING_TIMEOUT_MS, undefined, { ref: false })])
    return this.#reading?.memoryUsedBytes ?? process.memoryUsage.rss()
  }

  read(reading: GpuReading): void {
    this.#reading = reading
    this.#next.resolve()
    this.#next = Promise.withResolvers()
  }
}
