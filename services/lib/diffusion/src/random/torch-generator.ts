import { boxMuller16 } from './box-muller.ts'

/** Everything that a generator remembers, as plain data. */
export interface GeneratorState {
  /** The 624 words of mt19937. */
  readonly words: Uint32Array
  /** Next word to be used, 1…624. */
  readonly index: number
  /** Second half of a Box-Muller pair that is still unused, from draws of fewer than 16 numbers. */
  readonly cachedNormal: number | null
}

const N = 624
const M = 397

/**
 * torch's CPU generator: the same seed gives the numbers of `torch.Generator('cpu').manual_seed(seed)`.
 *
 * mt19937 (Matsumoto and Nishimura 1998), ATen/core/MT19937RNGEngine.h; normal numbers as ATen/native/cpu/DistributionTemplates.h:
 * fewer than 16 one by one in double with a cached second value, 16 and more in blocks of 16 in float32.
 */
export class TorchGenerator {
  readonly #words: Uint32Array
  #index: number
  #cachedNormal: number | null

  /** @param seed any integer; as in torch, only its low 32 bits matter */
  constructor(seed: number | bigint | GeneratorState) {
    if (typeof seed === 'object') {
      this.#words = Uint32Array.from(seed.words)
      this.#index = seed.index
      this.#cachedNormal = seed.cachedNormal
      return
    }
    if (typeof seed === 'number' && !Number.isSafeInteger(seed)) {
      throw new RangeError(`seed is ${seed}; want an integer between -(2^53 - 1) and 2^53 - 1, or a bigint.`)
    }
    this.#words = new Uint32Array(N)
    this.#words[0] = Number(BigInt.asUintN(32, BigInt(seed)))
    for (let i = 1; i < N; i++) {
      const previous = this.#words[i - 1]! ^ (this.#words[i - 1]! >>> 30)
      this.#words[i] = Math.imul(1812433253, previous) + i
    }
    this.#index = N
    this.#cachedNormal = null
  }

  state(): GeneratorState {
    return { words: Uint32Array.from(this.#words), index: this.#index, cachedNormal: this.#cachedNormal }
  }

  /** `torch.randn` of `count` float32 numbers: shape matters to torch only by its product. */
  randn(count: number): Float32Array {
    const out = new Float32Array(count)
    if (count < 16) {
      for (let i = 0; i < count; i++) out[i] = this.#normal()
      return out
    }
    this.#fillUniform(out, 0)
    for (let start = 0; start + 16 <= count; start += 16) boxMuller16(out, start)
    if (count % 16 !== 0) {
      // The last 16 numbers are drawn anew, over those that a whole block had made already.
      const tail = count - 16
      this.#fillUniform(out, tail)
      boxMuller16(out, tail)
    }
    return out
  }

  #normal(): number {
    if (this.#cachedNormal !== null) {
      const cached = this.#cachedNormal
      this.#cachedNormal = null
      return cached
    }
    const u1 = this.#uniform53()
    const u2 = this.#uniform53()
    const radius = Math.sqrt(-2 * Math.log1p(-u2))
    const angle = 2 * Math.PI * u1
    this.#cachedNormal = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** 24 random bits in [0, 1) for each element from `start`. */
  #fillUniform(out: Float32Array, start: number): void {
    const words = this.#words
    let index = this.#index
    for (let i = start; i < out.length; i++) {
      if (index >= N) {
        twist(words)
        index = 0
      }
      out[i] = (temper(words[index++]!) & 0xffffff) * 2 ** -24
    }
    this.#index = index
  }

  /** 53 random bits in [0, 1). */
  #uniform53(): number {
    const high = this.#next()
    const low = this.#next()
    return ((high & 0x1fffff) * 2 ** 32 + low) * 2 ** -53
  }

  #next(): number {
    if (this.#index >= N) {
      twist(this.#words)
      this.#index = 0
    }
    return temper(this.#words[this.#index++]!)
  }
}

function temper(word: number): number {
  let y = word
  y ^= y >>> 11
  y ^= (y << 7) & 0x9d2c5680
  y ^= (y << 15) & 0xefc60000
  y ^= y >>> 18
  return y >>> 0
}

/** Makes the next 624 words of the old, in place. */
function twist(words: Uint32Array): void {
  for (let i = 0; i < N; i++) {
    const next = i + 1 < N ? i + 1 : 0
    const far = i + M < N ? i + M : i + M - N
    const y = (words[i]! & 0x80000000) | (words[next]! & 0x7fffffff)
    words[i] = words[far]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
  }
}
