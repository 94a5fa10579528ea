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
export function churned(
  sample: Float32Array,
  noise: Float32Array,
  sigma: number,
  sigmaHat: number,
  sNoise: number,
): Float32Array {
  const { fround } = Math
  const added = torchSqrt(fround(fround(sigmaHat * sigmaHat) - fround(sigma * sigma)))
  const noiseScale = fround(sNoise)
  const out = new Float32Array(sample.length)
  const size = out.length
  for (let j = 0; j < size; j++) {
    out[j] = noise[j]! * noiseScale
    out[j] = out[j]! * added
    out[j] = sample[j]! + out[j]!
  }
  return out
}
