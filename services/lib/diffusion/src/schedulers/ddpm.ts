import { ONE_DRAW } from '../random/draw-noise.ts'
import { alphasCumprod, diffuse } from './alphas.ts'
import { betaKeys, choiceKey, flagKey, integerKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { boundOriginal, predictOriginal } from './prediction.ts'
import type { ClipConfig } from './prediction.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertTrained, spacedTimesteps, TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { addScaled, weightedSum } from './vector-steps.ts'

type VarianceType = 'fixed_small' | 'fixed_small_log' | 'fixed_large' | 'fixed_large_log' | 'learned' | 'learned_range'

export interface DdpmConfig extends BetaConfig, ClipConfig {
  variance_type: VarianceType
  prediction_type: 'epsilon' | 'sample' | 'v_prediction'
  timestep_spacing: TimestepSpacing
  steps_offset: number
  rescale_betas_zero_snr: boolean
}

interface DdpmPlan extends Plan {
  readonly config: DdpmConfig
  readonly alphasCumprod: Float32Array
}

const keys: ConfigKeys<DdpmConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2', 'laplace', 'sigmoid']),
  variance_type: choiceKey<VarianceType>('fixed_small', [
    'fixed_small',
    'fixed_small_log',
    'fixed_large',
    'fixed_large_log',
    'learned',
    'learned_range',
  ]),
  clip_sample: flagKey(true),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction']),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  clip_sample_range: numberKey(1, { min: 0 }),
  sample_max_value: numberKey(1, { min: 0 }),
  timestep_spacing: choiceKey('leading', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
  rescale_betas_zero_snr: flagKey(false),
}

/**
 * Ancestral sampling of denoising diffusion probabilistic models.
 *
 * Ho et al. 2020 (arXiv:2006.11239), eq. 7 and algorithm 2; learned variances: Nichol and Dhariwal 2021 (arXiv:2102.09672);
 * diffusers `scheduling_ddpm.py`. Noise is drawn at every step but t = 0, also where the variance is tiny.
 */
export const ddpm: Scheduler<DdpmConfig, DdpmPlan, null> = {
  keys,
  about: {
    papers: ['2006.11239', '2102.09672'],
    source: 'scheduling_ddpm.py',
    evaluations: '1',
    stochastic: 'always',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const train = config.num_train_timesteps
    const timesteps =
      'timesteps' in request
        ? descending(request.timesteps, train)
        : spacedTimesteps({
            spacing: config.timestep_spacing,
            numTrainTimesteps: train,
            numInferenceSteps: stepsOf(request, train, 'DDPMScheduler'),
            stepsOffset: config.steps_offset,
            isRounded: true,
          })
    assertTrained(timesteps, train)
    return { timesteps, sigmas: null, initNoiseSigma: 1, order: 1, config, alphasCumprod: alphasCumprod(config) }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: (plan, i) => (plan.timesteps[i]! > 0 ? ONE_DRAW : null),

  step(plan, i, modelOutput, sample, _state, [noise], _options, out) {
    const { fround } = Math
    const { config } = plan
    const t = plan.timesteps[i]!
    const previous = plan.timesteps[i + 1] ?? -1
    const alphaProd = plan.alphasCumprod[t]!
    const alphaProdPrev = previous >= 0 ? plan.alphasCumprod[previous]! : 1
    const betaProd = fround(1 - alphaProd)
    const betaProdPrev = fround(1 - alphaProdPrev)
    const currentAlpha = fround(alphaProd / alphaProdPrev)
    const currentBeta = fround(1 - currentAlpha)

    const a = torchSqrt(alphaProd)
    const b = torchSqrt(betaProd)
    predictOriginal(config.prediction_type, a, b, modelOutput, sample, out)
    boundOriginal(out, config)

    const originalCoefficient = fround(fround(torchSqrt(alphaProdPrev) * currentBeta) / betaProd)
    const sampleCoefficient = fround(fround(torchSqrt(currentAlpha) * betaProdPrev) / betaProd)
    weightedSum(originalCoefficient, out, sampleCoefficient, sample, out)

    if (noise !== undefined)
      addVariance(
        config.variance_type,
        fround(fround(betaProdPrev / betaProd) * currentBeta),
        currentBeta,
        modelOutput,
        noise,
        out,
      )
    return null
  },

  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod[plan.timesteps[i]!]!, original, noise, out)
  },
}

/** Adds sigma_t z. Models of the learned types put the variance's channels after the prediction's. */
function addVariance(
  type: VarianceType,
  posterior: number,
  beta: number,
  modelOutput: Float32Array,
  noise: Float32Array,
  out: Float32Array,
): void {
  const { exp, fround, log, sqrt } = Math
  const small = fround(Math.max(posterior, 1e-20))
  const size = out.length
  switch (type) {
    case 'fixed_small':
      return addScaled(torchSqrt(small), noise, out)
    case 'fixed_small_log':
      return addScaled(fround(exp(0.5 * fround(log(small)))), noise, out)
    case 'fixed_large':
      return addScaled(torchSqrt(beta), noise, out)
    case 'fixed_large_log':
      return addScaled(fround(sqrt(fround(log(beta)))), noise, out)
    case 'learned':
      for (let j = 0; j < size; j++) out[j] = out[j]! + fround(fround(sqrt(modelOutput[size + j]!)) * noise[j]!)
      return
    case 'learned_range': {
      const minLog = fround(log(small))
      const maxLog = fround(log(beta))
      for (let j = 0; j < size; j++) {
        const fraction = fround(modelOutput[size + j]! + 1) / 2
        const logVariance = fround(fround(fraction * maxLog) + fround(fround(1 - fraction) * minLog))
        out[j] = out[j]! + fround(fround(exp(0.5 * logVariance)) * noise[j]!)
      }
    }
  }
}

function descending(timesteps: readonly number[], train: number): readonly number[] {
  const isFine = timesteps.every(
    (t, i) => Number.isInteger(t) && t >= 0 && t < train && (i === 0 || t < timesteps[i - 1]!),
  )
  if (!isFine || timesteps.length === 0) {
    throw new RangeError(`timesteps is [${timesteps.join(', ')}]; want descending integers from 0 to ${train - 1}.`)
  }
  return timesteps
}
