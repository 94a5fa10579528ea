import { linspace } from './betas.ts'
import { betaQuantile } from './beta-distribution.ts'
import { numpyLog } from './numpy-log.ts'
import { torchSqrt } from './torch-sqrt.ts'

/** Training noise levels sqrt((1 - a) / a) in float32, ascending with the timestep. */
export function trainingSigmas(alphasCumprod: Float32Array): Float32Array {
  return alphasCumprod.map((a) => torchSqrt(Math.fround(Math.fround(1 - a) / a)))
}

/** numpy.interp over indices 0 … values.length - 1, clamped at both ends. */
export function interpolate(position: number, values: ArrayLike<number>): number {
  if (position <= 0) return values[0]!
  if (position >= values.length - 1) return values[values.length - 1]!
  const low = Math.floor(position)
  return (values[low + 1]! - values[low]!) * (position - low) + values[low]!
}

/** Fractional training timestep of a noise level, linear in log sigma; of several crossings the last. diffusers `_sigma_to_t`. */
export function sigmaToTimestep(sigma: number, logSigmas: ArrayLike<number>): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10))
  let low = logSigmas.length - 1
  while (low > 0 && logSigmas[low]! > logSigma) low--
  low = Math.min(low, logSigmas.length - 2)
  const w = Math.min(Math.max((logSigmas[low]! - logSigma) / (logSigmas[low]! - logSigmas[low + 1]!), 0), 1)
  return (1 - w) * low + w * (low + 1)
}

/** As `sigmaToTimestep`, for levels that diffusers keeps in float32: each operation is rounded. */
export function sigmaToTimestepF32(sigma: number, logSigmas: Float32Array): number {
  const { fround } = Math
  const logSigma = numpyLog(Math.max(sigma, 1e-10))
  const below = logSigmas.findLastIndex((level) => level <= logSigma)
  const low = Math.min(Math.max(below, 0), logSigmas.length - 2)
  const w = fround(fround(logSigmas[low]! - logSigma) / fround(logSigmas[low]! - logSigmas[low + 1]!))
  const share = Math.min(Math.max(w, 0), 1)
  return fround(fround(fround(1 - share) * low) + fround(share * (low + 1)))
}

interface SigmaRange {
  readonly min: number
  readonly max: number
}

/** Karras et al. 2022 (arXiv:2206.00364), eq. 5, rho 7. */
function karrasSigmas({ min, max }: SigmaRange, count: number): number[] {
  const rho = 7
  const low = min ** (1 / rho)
  const high = max ** (1 / rho)
  return linspace(0, 1, count).map((ramp) => (high + ramp * (low - high)) ** rho)
}

function exponentialSigmas({ min, max }: SigmaRange, count: number): number[] {
  return linspace(Math.log(max), Math.log(min), count).map(Math.exp)
}

/** Lee et al. 2024 (arXiv:2407.12173): quantiles of Beta(0.6, 0.6). */
function betaSigmas({ min, max }: SigmaRange, count: number): number[] {
  return linspace(0, 1, count).map((p) => min + betaQuantile(1 - p, 0.6, 0.6) * (max - min))
}

/** Keys that choose how noise levels are spaced, instead of by timesteps. */
export interface RespacingConfig {
  use_karras_sigmas: boolean
  use_exponential_sigmas: boolean
  use_beta_sigmas: boolean
}

/** @throws RangeError */
export function assertOneRespacing(config: RespacingConfig): void {
  const { use_karras_sigmas: karras, use_exponential_sigmas: exponential, use_beta_sigmas: beta } = config
  if (Number(karras) + Number(exponential) + Number(beta) > 1) {
    throw new RangeError('only one of use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas may be true.')
  }
}

/** Noise levels from high to low as the config spaces them; null where timesteps do. */
export function respacedSigmas(config: RespacingConfig, range: SigmaRange, count: number): number[] | null {
  if (config.use_karras_sigmas) return karrasSigmas(range, count)
  if (config.use_exponential_sigmas) return exponentialSigmas(range, count)
  return config.use_beta_sigmas ? betaSigmas(range, count) : null
}
