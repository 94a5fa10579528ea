import type { BatchSizes, Work } from './batch-sizes.ts'
import { median } from './median.ts'

/** Measurements that count, the latest. */
const KEPT = 9
/** A smaller size is taken where it takes no longer than this times the best. */
const NEARLY = 1.03

/**
 * A closed set of sizes, halves of each other, as GPUs need it: onnxruntime's CUDA provider plans every convolution anew
 * whenever the number of rows changes, which takes as long as many calls (onnxruntime issue 23006). So a call takes the size with
 * which all that is to be done ends first, the change to it counted, and is padded to it.
 */
export class ClosedSizes implements BatchSizes {
  /** Seconds of recent calls, by rows. */
  readonly #taken = new Map<number, number[]>()
  /** What recent changes of the size took. */
  #switches: readonly number[] = []
  #most: number
  #current: number | null = null

  constructor(most: number) {
    this.#most = most
  }

  get closed(): readonly number[] {
    const sizes = [this.#most]
    while (sizes.at(-1)! > 1) sizes.push(Math.ceil(sizes.at(-1)! / 2))
    return sizes
  }

  /** The least, since the first call of a size also looks for its algorithms. */
  get switchSeconds(): number {
    return this.#switches.length === 0 ? 0 : Math.max(0, Math.min(...this.#switches))
  }

  get cap(): number {
    return this.#best(({ rows, seconds }) => seconds / rows, 1)
  }

  rowsFor({ rowSteps, longest, laneRows }: Work): number {
    const toEnd = ({ rows, seconds }: Known): number =>
      Math.max(longest, Math.ceil(rowSteps / rows)) * seconds + (rows === this.#current ? 0 : this.switchSeconds)
    return this.#best(toEnd, laneRows)
  }

  /** To leave a size for one image and come back to it takes longer than the others' rows. */
  beside(): number {
    return Infinity
  }

  took(rows: number, seconds: number, isSwitch: boolean | null): void {
    this.#current = rows
    const taken = this.#taken.get(rows) ?? []
    if (isSwitch === null) return
    if (!isSwitch) this.#taken.set(rows, [...taken, seconds].slice(-KEPT))
    else if (taken.length > 0) this.#switches = [...this.#switches, seconds - median(taken)].slice(-KEPT)
  }

  shrink(rows: number): boolean {
    if (rows === 1) return false
    this.#most = Math.min(this.#most, Math.ceil(rows / 2))
    return true
  }

  /** The smallest size of those that cost nearly the least; the largest where none was measured. */
  #best(cost: (size: Known) => number, laneRows: number): number {
    const sizes = this.closed.filter((rows) => rows >= laneRows)
    const known = sizes.flatMap((rows) => {
      const taken = this.#taken.get(rows)
      return taken === undefined ? [] : [{ rows, cost: cost({ rows, seconds: median(taken) }) }]
    })
    if (known.length === 0) return sizes[0] ?? this.#most
    const enough = NEARLY * Math.min(...known.map((size) => size.cost))
    return Math.min(...known.filter((size) => size.cost <= enough).map(({ rows }) => rows))
  }
}

interface Known {
  readonly rows: number
  /** Of one call. */
  readonly seconds: number
}
