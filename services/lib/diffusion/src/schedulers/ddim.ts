import { ONE_DRAW } from '../random/draw-noise.ts'
import { alphasCumprod, diffuse } from './alphas.ts'
import { betaKeys, choiceKey, flagKey, integerKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { boundOriginal, predictNoise, predictOriginal } from './prediction.ts'
import type { ClipConfig } from './prediction.ts'
import { copyInput, trainedStepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertTrained, spacedTimesteps, TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { addScaled, weightedSum } from './vector-steps.ts'

export interface DdimConfig extends BetaConfig, ClipConfig {
  set_alpha_to_one: boolean
  steps_offset: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction'
  timestep_spacing: TimestepSpacing
  rescale_betas_zero_snr: boolean
}

interface DdimPlan extends Plan {
  readonly config: DdimConfig
  readonly alphasCumprod: Float32Array
  /** Distance to the previous timestep: num_train_timesteps / steps, whatever the spacing says. */
  readonly stride: number
}

const keys: ConfigKeys<DdimConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  clip_sample: flagKey(true),
  set_alpha_to_one: flagKey(true),
  steps_offset: integerKey(0, { min: 0 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction']),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  clip_sample_range: numberKey(1, { min: 0 }),
  sample_max_value: numberKey(1, { min: 0 }),
  timestep_spacing: choiceKey('leading', TIMESTEP_SPACINGS),
  rescale_betas_zero_snr: flagKey(false),
}

/**
 * Denoising diffusion implicit models: deterministic at eta 0, DDPM's variance at eta 1.
 *
 * Song et al. 2020 (arXiv:2010.02502), eq. 12 and 16; diffusers `scheduling_ddim.py`. As there, clipping changes x_0 but not
 * the noise that is predicted with it, unless `useClippedModelOutput`.
 */
export const ddim: Scheduler<DdimConfig, DdimPlan, null> = {
  keys,
  about: {
    papers: ['2010.02502'],
    source: 'scheduling_ddim.py',
    evaluations: '1',
    stochastic: 'when eta > 0',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const train = config.num_train_timesteps
    const numInferenceSteps = trainedStepsOf(request, train, 'DDIMScheduler')
    const timesteps = spacedTimesteps({
      spacing: config.timestep_spacing,
      numTrainTimesteps: train,
      numInferenceSteps,
      stepsOffset: config.steps_offset,
      isRounded: true,
    })
    const stride = Math.floor(train / numInferenceSteps)
    assertTrained(timesteps, train)
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
  noiseOf: (_plan, _i, { eta = 0 }) => (eta > 0 ? ONE_DRAW : null),

  step(plan, i, modelOutput, sample, _state, [noise], { eta = 0, useClippedModelOutput = false }, out) {
    const { fround } = Math
    const { config, alphasCumprod } = plan
    const t = plan.timesteps[i]!
    const previous = t - plan.stride
    const alphaProd = alphasCumprod.at(t)!
    const alphaProdPrev = previous >= 0 ? alphasCumprod[previous]! : config.set_alpha_to_one ? 1 : alphasCumprod[0]!
    const betaProd = fround(1 - alphaProd)
    const a = torchSqrt(alphaProd)
    const b = torchSqrt(betaProd)

    predictOriginal(config.prediction_type, a, b, modelOutput, sample, out)
    boundOriginal(out, config)
    const epsilon =
      !useClippedModelOutput && config.prediction_type === 'epsilon' ? modelOutput : new Float32Array(out.length)
    if (useClippedModelOutput) predictNoise('sample', a, b, out, sample, epsilon)
    else if (epsilon !== modelOutput) predictNoise(config.prediction_type, a, b, modelOutput, sample, epsilon)

    const variance = fround(
      fround(fround(1 - alphaProdPrev) / betaProd) * fround(1 - fround(alphaProd / alphaProdPrev)),
    )
    const sigma = eta === 0 ? 0 : fround(fround(eta) * torchSqrt(variance))
    const aPrev = torchSqrt(alphaProdPrev)
    const direction = torchSqrt(fround(fround(1 - alphaProdPrev) - fround(sigma * sigma)))
    weightedSum(aPrev, out, direction, epsilon, out)
    if (noise !== undefined) addScaled(sigma, noise, out)
    return null
  },

  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod.at(plan.timesteps[i]!)!, original, noise, out)
  },
}
