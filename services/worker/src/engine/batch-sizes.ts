/** `any`: each number of rows as it comes; `closed`: padded to a closed set; `fixed`: all calls padded to one size. */
export type Shapes = 'any' | 'closed' | 'fixed'

/**
 * How many rows a call of the denoiser should take, for one checkpoint and shape: learned from what calls took.
 *
 * Where a device is not yet busy with a few rows, more of them cost little; once it is, more rows only make everybody wait
 * longer. GPUs search their algorithms anew for each number of rows, so there the sizes are a closed set.
 */
export class BatchSizes {
  readonly #shapes: Shapes
  /** Seconds of recent calls, by rows. */
  readonly #taken = new Map<number, number[]>()
  #most: number
  #fullCalls = 0
  #probe: { readonly rows: number; left: number } | null = null

  /** @param most rows of a call */
  constructor(most: number, shapes: Shapes) {
    this.#most = most
    this.#shapes = shapes
  }

  /** Rows that the next call may take. */
  get cap(): number {
    return this.#shapes === 'fixed' ? this.#most : (this.#probe?.rows ?? this.#best)
  }

  /** Every size that calls may come in, the largest first; null where any is as good. */
  get closed(): readonly number[] | null {
    if (this.#shapes === 'any') return null
    const sizes = [this.#most]
    while (this.#shapes === 'closed' && sizes.at(-1)! > 1) sizes.push(Math.ceil(sizes.at(-1)! / 2))
    return sizes
  }

  /** Rows that a call with so many is padded to. */
  padded(rows: number): number {
    return this.closed?.findLast((size) => size >= rows) ?? rows
  }

  /** Takes note of what a call took. */
  took(rows: number, seconds: number): void {
    this.#taken.set(rows, [...(this.#taken.get(rows) ?? []), seconds].slice(-KEPT))
    if (this.#probe !== null) {
      if (--this.#probe.left === 0) this.#probe = null
    } else if (rows >= this.#best && ++this.#fullCalls % PROBE_EVERY === 0) this.#startProbe()
  }

  /** After the device ran out of memory with so many rows. @returns whether fewer can be tried */
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
    return Math.max(LEAST, Math.min(...known.filter(({ speed }) => speed >= enough).map(({ rows }) => rows)))
  }
}

/** Measurements that count, the latest. */
const KEPT = 9
/** Calls of another size, once in so many full ones. */
const PROBES = 3
const PROBE_EVERY = 256
/** An image with guidance takes two rows. */
const LEAST = 2
const NEARLY = 0.97

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}
