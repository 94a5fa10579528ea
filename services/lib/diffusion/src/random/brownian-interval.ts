import { seedSequence } from './seed-sequence.ts'
import { TorchGenerator } from './torch-generator.ts'

/** Words of numpy's entropy pool, as diffusers asks for. */
const POOL_SIZE = 24

interface Node {
  readonly start: number
  readonly end: number
  /** Which of the 2^depth parts of the whole interval it is, from the left. */
  readonly position: number
  readonly depth: number
}

/** A part of the whole interval, both ends multiples of 10^-6. */
interface Query {
  readonly from: number
  readonly to: number
}

/**
 * A Brownian path over [start, end] that the seed alone decides, whatever was asked of it before: the interval is halved and
 * halved again down to 10^-6, and each midpoint drawn by a bridge between its ends, with a torch generator of its own.
 *
 * Li et al. 2020 (arXiv:2001.01328), section 4; Kidger et al. 2021 (arXiv:2105.13493), section 4. torchsde 0.2.6
 * `BrownianInterval` with halfway_tree, tol 1e-6 and pool_size 24, bit for bit.
 */
export class BrownianInterval {
  readonly start: number
  readonly end: number
  readonly size: number
  readonly seed: bigint
  readonly #root: Node
  readonly #whole: Float32Array
  /** Left halves that the last query made, by node: the next one mostly shares an end with it, and so half of its nodes. */
  #known: ReadonlyMap<number, Float32Array> = new Map()

  /**
   * @param size how many numbers move, each on a path of its own
   * @param seed any integer; as in torch, -1 is 2^64 - 1
   */
  constructor(start: number, end: number, size: number, seed: number | bigint) {
    this.start = start
    this.end = end
    this.size = size
    this.seed = BigInt.asUintN(64, BigInt(seed))
    this.#root = { start: rounded(start), end: rounded(end), position: 0, depth: 0 }
    this.#whole = this.#normals([])
    const deviation = Math.fround(Math.sqrt(end - start))
    for (let j = 0; j < size; j++) this.#whole[j] = this.#whole[j]! * deviation
  }

  /** W(to) - W(from), of values inside the interval; those outside count as its ends. */
  increment(from: number, to: number): Float32Array {
    const query = {
      from: rounded(Math.max(Math.min(from, to), this.#root.start)),
      to: rounded(Math.min(Math.max(from, to), this.#root.end)),
    }
    const out = new Float32Array(this.size)
    if (query.from >= query.to) return out
    const used = new Map<number, Float32Array>()
    this.#add(this.#root, this.#whole, query, used, out)
    this.#known = used
    if (from > to) for (let j = 0; j < out.length; j++) out[j] = -out[j]!
    return out
  }

  /** Adds to `out` what the path does inside both node and query, from the left to the right. */
  #add(node: Node, whole: Float32Array, query: Query, used: Map<number, Float32Array>, out: Float32Array): void {
    const { start, end, position, depth } = node
    if (query.from <= start && end <= query.to) {
      for (let j = 0; j < out.length; j++) out[j] = out[j]! + whole[j]!
      return
    }
    const midway = rounded(0.5 * (end + start))
    const key = 2 ** depth + position
    const left = this.#known.get(key) ?? this.#leftHalf(node, midway, whole)
    used.set(key, left)
    const child = { position: 2 * position, depth: depth + 1 }
    if (query.from < midway) this.#add({ ...child, start, end: midway }, left, query, used, out)
    if (query.to > midway) {
      const right = new Float32Array(this.size)
      for (let j = 0; j < right.length; j++) right[j] = whole[j]! - left[j]!
      this.#add({ start: midway, end, position: child.position + 1, depth: child.depth }, right, query, used, out)
    }
  }

  #leftHalf({ start, end, position, depth }: Node, midway: number, whole: Float32Array): Float32Array {
    const reciprocal = 1 / (end - start)
    const deviation = Math.sqrt((midway - start) * (end - midway) * reciprocal)
    const half = this.#normals([position, depth])
    bridge(midway - start, reciprocal, deviation, whole, half)
    return half
  }

  #normals(spawnKey: readonly number[]): Float32Array {
    return new TorchGenerator(seedSequence(this.seed, spawnKey, POOL_SIZE, 1)[0]!).randn(this.size)
  }
}

/** Rounds to float32 what is stored in it: see vector-steps.ts. */
const single = new Float32Array(2)

/** Replaces normal numbers in `out` by (left whole) reciprocal + deviation out, each operation rounded to float32. */
function bridge(left: number, reciprocal: number, deviation: number, whole: Float32Array, out: Float32Array): void {
  const [a, b, c] = [left, reciprocal, deviation].map(Math.fround) as [number, number, number]
  const size = out.length
  for (let j = 0; j < size; j++) {
    single[0] = a * whole[j]!
    single[0] = single[0] * b
    single[1] = c * out[j]!
    out[j] = single[0] + single[1]
  }
}

/** Python's round(x, 6): ties go to the even neighbour, where toFixed goes up. Only odd multiples of 2^-7 are ties. */
function rounded(x: number): number {
  const up = Number(x.toFixed(6))
  const isTie = (x * 128) % 2 === 1
  const isOdd = Math.round(up * 1e6) % 2 === 1
  return isTie && isOdd ? Number((up - 1e-6).toFixed(6)) : up
}
