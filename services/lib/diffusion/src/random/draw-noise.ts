import { BrownianInterval } from './brownian-interval.ts'
import type { TorchGenerator } from './torch-generator.ts'

/** The noise that a step takes: consecutive `torch.randn` draws, or one increment of a Brownian path. */
export type NoiseDemand = { readonly draws: number } | { readonly brownian: BrownianDemand }

/** W(to) - W(from) of a path over `range`, ascending, that is the same at every step. */
export interface BrownianDemand {
  readonly range: readonly [number, number]
  readonly from: number
  readonly to: number
  /** Of the path; null for the image's own. */
  readonly seed: number | null
}

export const ONE_DRAW: NoiseDemand = { draws: 1 }

/** The path of each image's loop, which remembers what the next increment is likely to share: values do not depend on it. */
const paths = new WeakMap<TorchGenerator, BrownianInterval>()

/**
 * Draws what a step asks for, each of `size` numbers, in diffusers' order.
 * @param generator the image's, whose state moves with every draw and not with a Brownian path
 * @param seed the image's
 */
export function drawNoise(
  demand: NoiseDemand | null,
  size: number,
  generator: TorchGenerator,
  seed: number | bigint,
): Float32Array[] {
  if (demand === null) return []
  if ('draws' in demand) return Array.from({ length: demand.draws }, () => generator.randn(size))
  const { from, to, ...path } = demand.brownian
  return [pathOf(path, size, generator, seed).increment(from, to)]
}

function pathOf(
  { range: [start, end], seed: own }: Pick<BrownianDemand, 'range' | 'seed'>,
  size: number,
  generator: TorchGenerator,
  imageSeed: number | bigint,
): BrownianInterval {
  const seed = BigInt.asUintN(64, BigInt(own ?? imageSeed))
  const known = paths.get(generator)
  if (known?.start === start && known.end === end && known.size === size && known.seed === seed) return known
  const path = new BrownianInterval(start, end, size, seed)
  paths.set(generator, path)
  return path
}
