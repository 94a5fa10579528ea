import { alphasCumprodOf, betasOf, rescaleZeroTerminalSnr } from './betas.ts'
import type { BetaConfig } from './config.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { weightedSum } from './vector-steps.ts'

/** alpha_bar over the training timesteps, of a config with or without zero terminal SNR. */
export function alphasCumprod(config: BetaConfig & { rescale_betas_zero_snr?: boolean }): Float32Array {
  const betas = betasOf(config)
  return alphasCumprodOf(config.rescale_betas_zero_snr === true ? rescaleZeroTerminalSnr(betas) : betas)
}

/** q(x_t | x_0): sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) noise. Ho et al. 2020 (arXiv:2006.11239), eq. 4. */
export function diffuse(alphaBar: number, original: Float32Array, noise: Float32Array, out: Float32Array): void {
  const keep = torchSqrt(alphaBar)
  const add = torchSqrt(Math.fround(1 - alphaBar))
  weightedSum(keep, original, add, noise, out)
}
