import { elementwise } from '../kernels/elementwise.ts'
import { add, mul, sqrt } from '../kernels/expression.ts'
import { ONE_DRAW } from '../random/draw-noise.ts'
import { alphasCumprod, diffuse } from './alphas.ts'
import { betaKeys, choiceKey, flagKey, integerKey, numberKey, varianceKey } from './config.ts'
import type { BetaConfig, ConfigKeys, VarianceType } from './config.ts'
import { boundOriginal, predictOriginal } from './prediction.ts'
import type { ClipConfig } from './prediction.ts'
import { copyInput, trainedStepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertTrained, spacedTimesteps, TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { combine, weightedSum } from './vector-steps.ts'

export interface DdpmConfig extends BetaConfig, ClipConfig {
  /** null, as the solvers have it, is fixed_small here. */
  variance_type: VarianceType | null
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
  variance_type: { ...varianceKey(), default: 'fixed_small' },
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
            numInferenceSteps: trainedStepsOf(request, train, 'DDPMScheduler'),
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
    const { config } = plan
    const t = plan.timesteps[i]!
    const previous = plan.timesteps[i + 1] ?? -1
    const alphaProd = plan.alphasCumprod.at(t)!
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
    const posterior = fround(fround(betaProdPrev / betaProd) * currentBeta)
    const type = config.variance_type ?? 'fixed_small'
    if (noise === undefined) weightedSum(originalCoefficient, out, sampleCoefficient, sample, out)
    else if (type === 'learned' || type === 'learned_range') {
      weightedSum(originalCoefficient, out, sampleCoefficient, sample, out)
      addLearnedVariance(type, posterior, currentBeta, modelOutput, noise, out)
    } else {
      const deviation = fixedDeviation(type, posterior, currentBeta)
      combine([originalCoefficient, sampleCoefficient, deviation], [out, sample, noise], out)
    }
    return null
  },

  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod.at(plan.timesteps[i]!)!, original, noise, out)
  },
}

const { exp, fround, log } = Math

/** sigma_t of the types that the schedule fixes. */
function fixedDeviation(
  type: Exclude<VarianceType, 'learned' | 'learned_range'>,
  posterior: number,
  beta: number,
): number {
  const small = fround(Math.max(posterior, 1e-20))
  switch (type) {
    case 'fixed_small':
      return torchSqrt(small)
    case 'fixed_small_log':
      return fround(exp(0.5 * fround(log(small))))
    case 'fixed_large':
      return torchSqrt(beta)
    case 'fixed_large_log':
      return fround(Math.sqrt(fround(log(beta))))
    default:
      return type satisfies never
  }
}

const addByVariance = elementwise((_, [x, variance, noise]) => add(x!, mul(sqrt(variance!), noise!)))

/** Adds sigma_t z of models that put the variance's channels after the prediction's. */
function addLearnedVariance(
  type: 'learned' | 'learned_range',
  posterior: number,
  beta: number,
  modelOutput: Float32Array,
  noise: Float32Array,
  out: Float32Array,
): void {
  const size = out.length
  if (type === 'learned') {
    addByVariance([], [out, modelOutput.subarray(size), noise], out)
    return
  }
  const minLog = fround(log(fround(Math.max(posterior, 1e-20))))
  const maxLog = fround(log(beta))
  for (let j = 0; j < size; j++) {
    const fraction = (modelOutput[size + j]! + 1) / 2
    out[j] = out[j]! + exp(0.5 * (fraction * maxLog + (1 - fraction) * minLog)) * noise[j]!
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
