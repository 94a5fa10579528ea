import { ONE_DRAW } from '../random/draw-noise.ts'
import { flagKey, integerKey, numberKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { clamp } from './prediction.ts'
import { trainedStepsOf } from './scheduler.ts'
import type { Plan, PlanRequest, Scheduler } from './scheduler.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { addScaled, axpy, divide, weightedSum } from './vector-steps.ts'

export interface ConsistencyModelConfig {
  num_train_timesteps: number
  sigma_min: number
  sigma_max: number
  sigma_data: number
  s_noise: number
  rho: number
  clip_denoised: boolean
}

interface ConsistencyModelPlan extends Plan {
  readonly config: ConsistencyModelConfig
  readonly sigmas: Float32Array
}

const keys: ConfigKeys<ConsistencyModelConfig> = {
  num_train_timesteps: integerKey(40, { min: 2, max: 1_000_000 }),
  sigma_min: numberKey(0.002, { min: 0 }),
  sigma_max: numberKey(80, { min: 0 }),
  sigma_data: numberKey(0.5, { min: 0 }),
  s_noise: numberKey(1),
  rho: numberKey(7),
  clip_denoised: flagKey(true),
}

/**
 * Sampling of consistency models in one step, or in several that predict the picture and noise it again.
 *
 * Song et al. 2023 (arXiv:2303.01469), algorithm 1; diffusers `scheduling_consistency_models.py`. Given timesteps are indices
 * of the training levels.
 */
export const cmStochasticIterative: Scheduler<ConsistencyModelConfig, ConsistencyModelPlan, null> = {
  keys,
  about: {
    papers: ['2303.01469'],
    source: 'scheduling_consistency_models.py',
    evaluations: '1',
    stochastic: 'always, unless there is one step',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const { sigma_min: min, sigma_max: max, rho, num_train_timesteps: train } = config
    const [low, high] = [min ** (1 / rho), max ** (1 / rho)]
    // The noisiest level comes first: position 0 of the ramp.
    const positions = trainedIndices(config, request)
      .toReversed()
      .map((index) => index / (train - 1))
    const levels = positions.map((ramp) => (high + ramp * (low - high)) ** rho)
    return {
      timesteps: levels.map((sigma) => 250 * Math.log(sigma + 1e-44)),
      sigmas: Float32Array.of(...levels, min),
      initNoiseSigma: max,
      order: 1,
      config,
    }
  },

  initialState: () => null,

  scaleModelInput({ config, sigmas }, i, sample, out) {
    const sigma = sigmas[i]!
    const { fround } = Math
    const divisor = torchSqrt(fround(fround(sigma * sigma) + fround(config.sigma_data ** 2)))
    divide(sample, divisor, out)
  },

  noiseOf: ({ timesteps }) => (timesteps.length > 1 ? ONE_DRAW : null),

  step({ config, sigmas }, i, modelOutput, sample, _state, [noise], _options, out) {
    const { fround } = Math
    const [min, max, data] = [fround(config.sigma_min), fround(config.sigma_max), fround(config.sigma_data)]
    const variance = fround(config.sigma_data ** 2)
    const sigma = sigmas[i]!
    const above = fround(sigma - min)
    const skip = fround(variance / fround(fround(above * above) + variance))
    const scale = fround(fround(above * data) / torchSqrt(fround(fround(sigma * sigma) + variance)))
    weightedSum(scale, modelOutput, skip, sample, out)
    if (config.clip_denoised) clamp(out, 1)
    if (noise === undefined) return null
    const next = Math.min(Math.max(sigmas[i + 1]!, min), max)
    // At the smallest level little more than float32's roundings is left, and torch adds as much.
    const added = torchSqrt(fround(Math.max(fround(next * next) - fround(config.sigma_min ** 2), 0)))
    addScaled(fround(config.s_noise * added), noise, out)
    return null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}

/** From the last training level to the first. */
function trainedIndices(config: ConsistencyModelConfig, request: PlanRequest): readonly number[] {
  const train = config.num_train_timesteps
  if ('timesteps' in request) {
    const given = request.timesteps
    const isFine = given.every((t, i) => Number.isInteger(t) && t >= 0 && t < train && (i === 0 || t < given[i - 1]!))
    if (!isFine || given.length === 0) {
      throw new RangeError(`timesteps is [${given.join(', ')}]; want descending integers from 0 to ${train - 1}.`)
    }
    return given
  }
  const steps = trainedStepsOf(request, train, 'CMStochasticIterativeScheduler')
  const ratio = Math.floor(train / steps)
  return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * ratio)
}
