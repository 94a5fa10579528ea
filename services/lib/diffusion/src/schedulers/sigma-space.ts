import { alphasCumprod } from './alphas.ts'
import type { BetaConfig } from './config.ts'
import { roundHalfEven } from './betas.ts'
import { stepsOf } from './scheduler.ts'
import type { PlanRequest } from './scheduler.ts'
import { assertOneRespacing, interpolate, respacedSigmas, sigmaToTimestep, trainingSigmas } from './sigmas.ts'
import type { RespacingConfig } from './sigmas.ts'
import { assertTrained, spacedTimesteps } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'

/** Schedulers after k-diffusion: samples are x = x_0 + sigma noise, not scaled to unit variance. */
export interface SigmaSpaceConfig extends BetaConfig, Partial<RespacingConfig> {
  readonly timestep_spacing: TimestepSpacing
  readonly steps_offset: number
  readonly rescale_betas_zero_snr?: boolean
}

export interface SigmaLevels {
  /** From high to low, without the final 0; float32. */
  readonly sigmas: Float32Array
  readonly timesteps: readonly number[]
  readonly logSigmas: Float32Array
}

/**
 * Noise levels at the schedule's timesteps, or spaced anew between the first and the last of them.
 * @param roundsKarras whether timesteps of Karras levels are rounded, as two of the classes do
 * @throws RangeError
 */
export function sigmaLevels(
  config: SigmaSpaceConfig,
  request: PlanRequest,
  name: string,
  roundsKarras = false,
): SigmaLevels {
  const {
    use_karras_sigmas = false,
    use_exponential_sigmas = false,
    use_beta_sigmas = false,
    num_train_timesteps: train,
  } = config
  const respacing = { use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas }
  assertOneRespacing(respacing)
  const alphas = alphasCumprod(config)
  if (config.rescale_betas_zero_snr === true) alphas[alphas.length - 1] = 2 ** -24
  const training = trainingSigmas(alphas)
  const logSigmas = training.map(Math.log)
  const timesteps = 'timesteps' in request ? given(request.timesteps, respacing, name) : spaced(config, request, name)
  assertTrained(timesteps, train)
  const levels = timesteps.map((t) => interpolate(t, training))
  const respaced = respacedSigmas(respacing, { min: levels.at(-1)!, max: levels[0]! }, levels.length)
  if (respaced === null) return { sigmas: Float32Array.from(levels), timesteps, logSigmas }
  const fractional = respaced.map((sigma) => sigmaToTimestep(sigma, logSigmas))
  return {
    sigmas: Float32Array.from(respaced),
    timesteps: use_karras_sigmas && roundsKarras ? fractional.map(roundHalfEven) : fractional.map(Math.fround),
    logSigmas,
  }
}

function given(timesteps: readonly number[], respacing: RespacingConfig, name: string): readonly number[] {
  if (timesteps.length === 0) throw new RangeError('timesteps is empty; want at least one.')
  if (Object.values(respacing).some(Boolean)) {
    throw new RangeError(`timesteps of ${name} cannot be given where its config spaces the noise levels itself.`)
  }
  return timesteps.map(Math.fround)
}

function spaced(config: SigmaSpaceConfig, request: PlanRequest, name: string): readonly number[] {
  return spacedTimesteps({
    spacing: config.timestep_spacing,
    numTrainTimesteps: config.num_train_timesteps,
    numInferenceSteps: stepsOf(request, config.num_train_timesteps, name),
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
  const divisor = torchSqrt(Math.fround(Math.fround(sigma * sigma) + 1))
  const size = out.length
  for (let j = 0; j < size; j++) out[j] = sample[j]! / divisor
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
  const size = out.length
  if (type === 'epsilon') {
    for (let j = 0; j < size; j++) {
      out[j] = sigma * m[j]!
      out[j] = x[j]! - out[j]!
    }
  } else if (type === 'v_prediction') {
    const divisor = fround(fround(sigma * sigma) + 1)
    const coefficient = fround(-sigma / torchSqrt(divisor))
    for (let j = 0; j < size; j++) out[j] = fround(m[j]! * coefficient) + fround(x[j]! / divisor)
  } else {
    out.set(m.subarray(0, size))
  }
}

/** Writes (x - x_0) / sigma. */
export function derivative(x: Float32Array, original: Float32Array, sigma: number, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    out[j] = x[j]! - original[j]!
    out[j] = out[j]! / sigma
  }
}

/** Level by level as a method of two calls a step walks them: [a, b, b, c, c, …]. */
export function interleaved(levels: readonly number[]): number[] {
  return levels.flatMap((level, i) => (i === 0 ? [level] : [level, level]))
}
