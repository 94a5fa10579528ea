import { betaKeys, choiceKey, flagKey, integerKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { clamp } from './prediction.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { derivative, initialSigma, interleaved, predictFromSigma, scaleToUnit, sigmaLevels } from './sigma-space.ts'
import type { RespacingConfig } from './sigmas.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { axpy, mean } from './vector-steps.ts'

export interface HeunConfig extends BetaConfig, RespacingConfig {
  prediction_type: 'epsilon' | 'sample' | 'v_prediction'
  clip_sample: boolean
  clip_sample_range: number
  timestep_spacing: TimestepSpacing
  steps_offset: number
}

interface HeunPlan extends Plan {
  readonly config: HeunConfig
  readonly sigmas: Float32Array
}

/** Between the two calls of a step: where it began, and the slope there. */
export type HeunState = { readonly sample: Float32Array; readonly derivative: Float32Array } | null

const keys: ConfigKeys<HeunConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2', 'exp']),
  beta_start: numberKey(0.00085, { min: 0, max: 1 }),
  beta_end: numberKey(0.012, { min: 0, max: 1 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction']),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  clip_sample: flagKey(false),
  clip_sample_range: numberKey(1, { min: 0 }),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
}

/**
 * Heun's method: each step is done twice, the second time with the mean of the slopes at both ends; the last is one of Euler's.
 *
 * Karras et al. 2022 (arXiv:2206.00364), algorithm 1; diffusers `scheduling_heun_discrete.py`.
 */
export const heunDiscrete: Scheduler<HeunConfig, HeunPlan, HeunState> = {
  keys,
  about: {
    papers: ['2206.00364'],
    source: 'scheduling_heun_discrete.py',
    evaluations: '2 (the last step 1)',
    stochastic: 'never',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const traits = { name: 'HeunDiscreteScheduler', takesTimesteps: true }
    const { sigmas: levels, timesteps } = sigmaLevels(config, request, traits)
    const sigmas = Float32Array.of(...interleaved(levels), 0)
    return {
      timesteps: interleaved(timesteps),
      sigmas,
      initNoiseSigma: initialSigma(config, sigmas),
      order: 2,
      config,
    }
  },

  initialState: () => null,
  scaleModelInput: ({ sigmas }, i, sample, out) => scaleToUnit(sample, sigmas[i]!, out),
  noiseOf: () => null,

  step({ config, sigmas }, i, modelOutput, sample, state, _noise, _options, out) {
    const { fround } = Math
    const isFirst = state === null
    const sigma = sigmas[isFirst ? i : i - 1]!
    const next = sigmas[isFirst ? i + 1 : i]!
    const level = isFirst ? sigma : next
    predictFromSigma(config.prediction_type, level, modelOutput, sample, out)
    if (config.clip_sample) clamp(out, config.clip_sample_range)
    const slope = new Float32Array(out.length)
    derivative(sample, out, level, slope)
    const dt = fround(next - sigma)
    if (isFirst) {
      axpy(dt, slope, sample, out)
      return next === 0 ? null : { sample: sample.slice(), derivative: slope }
    }
    mean(state.derivative, slope, slope)
    axpy(dt, slope, state.sample, out)
    return null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}
