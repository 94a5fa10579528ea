import type { BatchSizes } from './batch-sizes.ts'
import { median } from './median.ts'

/** Calls of another size, once in so many full ones. */
const PROBES = 3
const PROBE_EVERY = 256
/** Measurements that count, the latest. */
const KEPT = 9
/** An image with guidance takes two rows. */
const LEAST = 2
const NEARLY = 0.97
/** Of what a call takes that somebody waits for, how much longer others may make it. */
const HARDLY_LONGER = 0.25

/**
 * Any number of rows up to a cap. Where a device is not yet busy with a few rows, more of them cost little; once it is, more rows
 * only make everybody wait longer.
 */
export class FreeSizes implements BatchSizes {
  readonly closed = null
  readonly switchSeconds = 0
  /** Seconds of recent calls, by rows. */
  readonly #taken = new Map<number, number[]>()
  #most: number
  #fullCalls = 0
  #probe: { readonly rows: number; left: number } | null = null

  constructor(most: number) {
    this.#most = most
  }

  get cap(): number {
    return this.#probe?.rows ?? this.#best
  }

  rowsFor(): number {
    return this.cap
  }

  /** By what so many rows and a full call took, and a line between them. */
  beside(rows: number): number {
    const { cap } = this
    const [own, full] = [this.#taken.get(rows), this.#taken.get(cap)]
    if (rows >= cap) return cap
    if (own === undefined || full === undefined) return rows
    const perRow = (median(full) - median(own)) / (cap - rows)
    return perRow <= 0 ? cap : Math.min(cap, Math.floor(rows + (HARDLY_LONGER * median(own)) / perRow))
  }

  took(rows: number, seconds: number): void {
    this.#taken.set(rows, [...(this.#taken.get(rows) ?? []), seconds].slice(-KEPT))
    if (this.#probe !== null) {
      if (--this.#probe.left === 0) this.#probe = null
    } else if (rows >= this.#best && ++this.#fullCalls % PROBE_EVERY === 0) this.#startProbe()
  }

  shrink(rows: number): boolean {
    this.#probe = null
    if (rows === 1) return false
    this.#most = Math.min(this.#most, Math.ceil(rows / 2))
    return true
  }

  /** A device's speed changes with its company and its heat: now half the size is tried, now the double. */
  #startProbe(): void {
    const isUp = (this.#fullCalls / PROBE_EVERY) % 2 === 0
    const rows = isUp ? Math.min(this.#best * 2, this.#most) : Math.max(Math.ceil(this.#best / 2), LEAST)
    if (rows === this.#best || rows > this.#most) return
    this.#taken.delete(rows)
    this.#probe = { rows, left: PROBES }
  }

  /** The smallest size whose rows per second are nearly the best that was measured. */
  get #best(): number {
    const known = [...this.#taken]
      .filter(([rows, { length }]) => rows <= this.#most && length >= PROBES)
      .map(([rows, seconds]) => ({ rows, speed: rows / median(seconds) }))
    if (!known.some(({ rows }) => rows === this.#most)) return this.#most
    const enough = NEARLY * Math.max(...known.map(({ speed }) => speed))
    const fewest = Math.min(...known.filter(({ speed }) => speed >= enough).map(({ rows }) => rows))
    return Math.min(Math.max(LEAST, fewest), this.#most)
  }
}
