import { elementwise } from '../kernels/elementwise.ts'
import { div, mul, round, rounded, sub } from '../kernels/expression.ts'
import { alphasCumprod } from './alphas.ts'
import type { BetaConfig } from './config.ts'
import { numpyLog } from './numpy-log.ts'
import { linspaceF32, roundHalfEven } from './betas.ts'
import { stepsOf } from './scheduler.ts'
import type { PlanRequest } from './scheduler.ts'
import { assertOneRespacing, interpolate, respacedSigmas, sigmaToTimestep, trainingSigmas } from './sigmas.ts'
import type { RespacingConfig } from './sigmas.ts'
import { spacedTimesteps } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { divide, quotientSum, subtractScaled } from './vector-steps.ts'

/** Schedulers after k-diffusion: samples are x = x_0 + sigma noise, not scaled to unit variance. */
export interface SigmaSpaceConfig extends BetaConfig, Partial<RespacingConfig> {
  readonly timestep_spacing: TimestepSpacing
  readonly steps_offset: number
  readonly rescale_betas_zero_snr?: boolean
  readonly interpolation_type?: 'linear' | 'log_linear'
  readonly sigma_min?: number | null
  readonly sigma_max?: number | null
}

/** What the classes differ in. */
interface SigmaTraits {
  readonly name: string
  /** Whether a request may bring timesteps of its own. */
  readonly takesTimesteps?: boolean
  /** Whether timesteps of Karras levels are rounded. */
  readonly roundsKarras?: boolean
  /** Whether timesteps keep the digits that float32 has not. */
  readonly isDouble?: boolean
}

export interface SigmaLevels {
  /** From high to low, without the final 0; in double. */
  readonly sigmas: readonly number[]
  readonly timesteps: readonly number[]
  /** Of every training timestep, ascending. */
  readonly training: Float32Array
  readonly logSigmas: Float32Array
}

/**
 * Noise levels at the schedule's timesteps, or spaced anew between the first and the last of them.
 * @throws RangeError
 */
export function sigmaLevels(
  config: SigmaSpaceConfig,
  request: PlanRequest,
  { name, takesTimesteps = false, roundsKarras = false, isDouble = false }: SigmaTraits,
): SigmaLevels {
  const { use_karras_sigmas = false, use_exponential_sigmas = false, use_beta_sigmas = false } = config
  const respacing = { use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas }
  assertOneRespacing(respacing)
  const training = trainingSigmasOf(config)
  const logSigmas = training.map(numpyLog)
  const precision = isDouble ? (t: number): number => t : Math.fround
  const own = takesTimesteps && 'timesteps' in request ? given(request.timesteps, respacing, name) : null
  const timesteps = (own ?? spaced(config, request, name)).map(precision)
  assertBegins(timesteps, name)
  // Trailing spacing may give one timestep more than was asked for.
  const count = 'numInferenceSteps' in request ? request.numInferenceSteps : timesteps.length
  const levels =
    config.interpolation_type === 'log_linear'
      ? Array.from(linspaceF32(Math.log(training.at(-1)!), Math.log(training[0]!), count + 1), Math.exp)
      : timesteps.map((t) => interpolate(t, training))
  const range = { min: config.sigma_min ?? levels.at(-1)!, max: config.sigma_max ?? levels[0]! }
  const respaced = respacedSigmas(respacing, range, count)
  if (respaced === null) return { sigmas: levels, timesteps, logSigmas, training }
  const fractional = respaced.map((sigma) => sigmaToTimestep(sigma, logSigmas))
  return {
    sigmas: respaced,
    timesteps: fractional.map(use_karras_sigmas && roundsKarras ? roundHalfEven : precision),
    logSigmas,
    training,
  }
}

/** Noise levels of the training timesteps, ascending; of zero terminal SNR the last is finite. */
export function trainingSigmasOf(config: SigmaSpaceConfig): Float32Array {
  const alphas = alphasCumprod(config)
  if (config.rescale_betas_zero_snr === true) alphas[alphas.length - 1] = 2 ** -24
  return trainingSigmas(alphas)
}

function given(timesteps: readonly number[], respacing: RespacingConfig, name: string): readonly number[] {
  if (timesteps.length === 0) throw new RangeError('timesteps is empty; want at least one.')
  if (Object.values(respacing).some(Boolean)) {
    throw new RangeError(`timesteps of ${name} cannot be given where its config spaces the noise levels itself.`)
  }
  return timesteps
}

function spaced(config: SigmaSpaceConfig, request: PlanRequest, name: string): readonly number[] {
  return spacedTimesteps({
    spacing: config.timestep_spacing,
    numTrainTimesteps: config.num_train_timesteps,
    numInferenceSteps: stepsOf(request, name),
    stepsOffset: config.steps_offset,
    isRounded: false,
  })
}

/** What initial noise is multiplied by. diffusers `init_noise_sigma`. */
export function initialSigma({ timestep_spacing: spacing }: SigmaSpaceConfig, sigmas: Float32Array): number {
  const { fround } = Math
  const max = sigmas.reduce((a, b) => Math.max(a, b))
  return spacing === 'leading' ? torchSqrt(fround(fround(max * max) + 1)) : max
}

/** Writes the sample at unit variance, as the model sees it. */
export function scaleToUnit(sample: Float32Array, sigma: number, out: Float32Array): void {
  divide(sample, torchSqrt(Math.fround(Math.fround(sigma * sigma) + 1)), out)
}

/**
 * Refuses what more steps than training timesteps may come to. diffusers begins at the second of two equal timesteps, and
 * runs off the end of its levels.
 * @throws RangeError
 */
function assertBegins(timesteps: readonly number[], name: string): void {
  if (timesteps[0] === timesteps[1]) {
    throw new RangeError(`the schedule of ${name} begins with timestep ${timesteps[0]} twice; want fewer steps.`)
  }
}

/** @throws RangeError where two steps share a noise level, between which a solver would divide by 0 */
export function assertDistinct(sigmas: ArrayLike<number>, name: string): void {
  if (Array.from(sigmas).some((sigma, k) => k > 0 && sigma === sigmas[k - 1])) {
    throw new RangeError(`the schedule of ${name} repeats a noise level; want fewer steps or a smaller steps_offset.`)
  }
}

export type SigmaPrediction = 'epsilon' | 'sample' | 'original_sample' | 'v_prediction'

/** Writes x_0 as the model's output says at a noise level. */
export function predictFromSigma(
  type: SigmaPrediction,
  sigma: number,
  m: Float32Array,
  x: Float32Array,
  out: Float32Array,
): void {
  const { fround } = Math
  if (type === 'epsilon') {
    subtractScaled(x, sigma, m, out)
  } else if (type === 'v_prediction') {
    const divisor = fround(fround(sigma * sigma) + 1)
    const coefficient = fround(-sigma / torchSqrt(divisor))
    quotientSum(coefficient, m, x, divisor, out)
  } else {
    out.set(m.subarray(0, out.length))
  }
}

const slopeOfNoise = elementwise(([sigma], [m, x]) => div(sub(x!, round(sub(x!, mul(sigma!, m!)))), sigma!))
const slope = elementwise(([sigma], [x, original]) => rounded.div(rounded.sub(x!, original!), sigma!))

/** Writes (x - x_0) / sigma of what the model's output says of x_0. */
export function slopeAt(
  type: SigmaPrediction,
  sigma: number,
  m: Float32Array,
  x: Float32Array,
  out: Float32Array,
): void {
  if (type !== 'epsilon') {
    predictFromSigma(type, sigma, m, x, out)
    return derivative(x, out, sigma, out)
  }
  slopeOfNoise([sigma], [m, x], out)
}

/** Writes (x - x_0) / sigma. */
export function derivative(x: Float32Array, original: Float32Array, sigma: number, out: Float32Array): void {
  slope([sigma], [x, original], out)
}

/** Level by level as a method of two calls a step walks them: [a, b, b, c, c, …]. */
export function interleaved(levels: readonly number[]): number[] {
  return levels.flatMap((level, i) => (i === 0 ? [level] : [level, level]))
}
