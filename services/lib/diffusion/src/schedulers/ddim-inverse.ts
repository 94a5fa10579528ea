import { alphasCumprod } from './alphas.ts'
import { betaKeys, choiceKey, flagKey, integerKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { clamp, predictNoise, predictOriginal } from './prediction.ts'
import { copyInput, trainedStepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertTrained, spacedTimesteps } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { weightedSum } from './vector-steps.ts'

export interface DdimInverseConfig extends BetaConfig {
  clip_sample: boolean
  set_alpha_to_one: boolean
  steps_offset: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction'
  clip_sample_range: number
  timestep_spacing: 'leading' | 'trailing'
  rescale_betas_zero_snr: boolean
}

interface DdimInversePlan extends Plan {
  readonly config: DdimInverseConfig
  readonly alphasCumprod: Float32Array
  readonly stride: number
}

const keys: ConfigKeys<DdimInverseConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  clip_sample: flagKey(true),
  set_alpha_to_one: flagKey(true),
  steps_offset: integerKey(0, { min: 0 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction']),
  clip_sample_range: numberKey(1, { min: 0 }),
  timestep_spacing: choiceKey('leading', ['leading', 'trailing']),
  rescale_betas_zero_snr: flagKey(false),
}

/**
 * DDIM backwards: from a picture to the noise that leads to it.
 *
 * Song et al. 2020 (arXiv:2010.02502), reversed as in Mokady et al. 2022 (arXiv:2211.09794); diffusers
 * `scheduling_ddim_inverse.py`. Timesteps ascend.
 */
export const ddimInverse: Scheduler<DdimInverseConfig, DdimInversePlan, null> = {
  keys,
  about: {
    papers: ['2010.02502', '2211.09794'],
    source: 'scheduling_ddim_inverse.py',
    evaluations: '1',
    stochastic: 'never',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const train = config.num_train_timesteps
    const steps = trainedStepsOf(request, train, 'DDIMInverseScheduler')
    const timesteps = spacedTimesteps({
      spacing: config.timestep_spacing,
      numTrainTimesteps: train,
      numInferenceSteps: steps,
      stepsOffset: config.steps_offset,
      isRounded: true,
    }).toReversed()
    assertTrained(timesteps, train)
    const stride = Math.floor(train / steps)
    return {
      timesteps,
      sigmas: null,
      initNoiseSigma: 1,
      order: 1,
      config,
      alphasCumprod: alphasCumprod(config),
      stride,
    }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: () => null,

  step({ config, timesteps, alphasCumprod: alphas, stride }, i, modelOutput, sample, _state, _noise, _options, out) {
    const { fround } = Math
    const next = timesteps[i]!
    const t = Math.min(next - stride, config.num_train_timesteps - 1)
    const alpha = t >= 0 ? alphas[t]! : config.set_alpha_to_one ? 1 : alphas[0]!
    const [a, b] = [torchSqrt(alpha), torchSqrt(fround(1 - alpha))]
    const type = config.prediction_type
    predictOriginal(type, a, b, modelOutput, sample, out)
    const epsilon = type === 'epsilon' ? modelOutput : new Float32Array(out.length)
    // At alpha 1 a predicted sample leaves no noise, and diffusers divides by its 0.
    const hasNoise = b > 0 || type === 'v_prediction'
    if (type !== 'epsilon' && hasNoise) predictNoise(type, a, b, modelOutput, sample, epsilon)
    if (config.clip_sample) clamp(out, config.clip_sample_range)
    const alphaNext = alphas.at(next)!
    weightedSum(torchSqrt(alphaNext), out, torchSqrt(fround(1 - alphaNext)), epsilon, out)
    return null
  },

  addNoise: null,
}
