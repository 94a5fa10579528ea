import { ONE_DRAW } from '../random/draw-noise.ts'
import { alphasCumprod, diffuse } from './alphas.ts'
import { betaKeys, choiceKey, flagKey, integerKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { consistencySchedule } from './consistency-schedule.ts'
import { boundOriginal, predictOriginal } from './prediction.ts'
import type { ClipConfig } from './prediction.ts'
import { copyInput } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { weightedSum } from './vector-steps.ts'

export interface LcmConfig extends BetaConfig, ClipConfig {
  original_inference_steps: number
  set_alpha_to_one: boolean
  steps_offset: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction'
  timestep_spacing: TimestepSpacing
  timestep_scaling: number
  rescale_betas_zero_snr: boolean
}

export interface ConsistencyPlan extends Plan {
  readonly config: LcmConfig
  readonly alphasCumprod: Float32Array
  readonly numInferenceSteps: number
}

/** Keys of LCM and TCD alike. */
export const consistencyKeys: ConfigKeys<LcmConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  beta_start: numberKey(0.00085, { min: 0, max: 1 }),
  beta_end: numberKey(0.012, { min: 0, max: 1 }),
  beta_schedule: choiceKey('scaled_linear', ['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  original_inference_steps: integerKey(50, { min: 1 }),
  clip_sample: flagKey(false),
  clip_sample_range: numberKey(1, { min: 0 }),
  set_alpha_to_one: flagKey(true),
  steps_offset: integerKey(0, { min: 0 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction']),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  sample_max_value: numberKey(1, { min: 0 }),
  timestep_spacing: choiceKey('leading', TIMESTEP_SPACINGS),
  timestep_scaling: numberKey(10),
  rescale_betas_zero_snr: flagKey(false),
}

const SIGMA_DATA = 0.5

/**
 * Multistep sampling of latent consistency models: each step predicts the picture and noises it again, the last one does not.
 *
 * Luo et al. 2023 (arXiv:2310.04378), algorithm 3; boundary scalings of Song et al. 2023 (arXiv:2303.01469), eq. 5; diffusers
 * `scheduling_lcm.py`.
 */
export const lcm: Scheduler<LcmConfig, ConsistencyPlan, null> = {
  keys: consistencyKeys,
  about: {
    papers: ['2310.04378'],
    source: 'scheduling_lcm.py',
    evaluations: '1',
    stochastic: 'always, but for the last step',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const stride = (original: number): number => Math.floor(config.num_train_timesteps / original)
    const schedule = consistencySchedule(
      config,
      request,
      (original, strength) =>
        Array.from({ length: Math.trunc(original * strength) }, (_, i) => (i + 1) * stride(original) - 1),
      'LCMScheduler',
    )
    return { ...schedule, sigmas: null, initNoiseSigma: 1, order: 1, config, alphasCumprod: alphasCumprod(config) }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: ({ numInferenceSteps }, i) => (i === numInferenceSteps - 1 ? null : ONE_DRAW),

  step({ config, timesteps, alphasCumprod: alphas }, i, modelOutput, sample, _state, [noise], _options, out) {
    const { fround } = Math
    const t = timesteps[i]!
    const alpha = alphas[t]!
    predictOriginal(config.prediction_type, torchSqrt(alpha), torchSqrt(fround(1 - alpha)), modelOutput, sample, out)
    boundOriginal(out, config)
    const scaled = t * config.timestep_scaling
    const distance = scaled ** 2 + SIGMA_DATA ** 2
    weightedSum(fround(scaled / Math.sqrt(distance)), out, fround(SIGMA_DATA ** 2 / distance), sample, out)
    if (noise === undefined) return null
    const previous = alphas[timesteps[i + 1] ?? t]!
    weightedSum(torchSqrt(previous), out, torchSqrt(fround(1 - previous)), noise, out)
    return null
  },

  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod[plan.timesteps[i]!]!, original, noise, out)
  },
}
