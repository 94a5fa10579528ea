import { elementwise } from '../kernels/elementwise.ts'
import { rounded } from '../kernels/expression.ts'
import type { StepOptions } from './scheduler.ts'
import { torchSqrt } from './torch-sqrt.ts'

/** gamma of Karras et al. 2022 (arXiv:2206.00364), algorithm 2: how far step i raises the noise first. */
export function churnOf(
  sigmas: Float32Array,
  i: number,
  { sChurn = 0, sTmin = 0, sTmax = Infinity }: StepOptions,
): number {
  const sigma = sigmas[i]!
  return sTmin <= sigma && sigma <= sTmax ? Math.min(sChurn / (sigmas.length - 1), Math.SQRT2 - 1) : 0
}

/** The sample raised from sigma to sigmaHat. */
const addNoiseTwiceScaled = elementwise(([a, b], [sample, noise]) =>
  rounded.add(sample!, rounded.mul(rounded.mul(noise!, a!), b!)),
)

export function churned(
  sample: Float32Array,
  noise: Float32Array,
  sigma: number,
  sigmaHat: number,
  sNoise: number,
): Float32Array {
  const { fround } = Math
  const added = torchSqrt(fround(fround(sigmaHat * sigmaHat) - fround(sigma * sigma)))
  const out = new Float32Array(sample.length)
  addNoiseTwiceScaled([fround(sNoise), added], [sample, noise], out)
  return out
}
