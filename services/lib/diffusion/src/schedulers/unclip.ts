import { ONE_DRAW } from '../random/draw-noise.ts'
import { diffuse } from './alphas.ts'
import { alphasCumprodOf, betasOf, roundHalfEven } from './betas.ts'
import { betaKeys, choiceKey, flagKey, integerKey, numberKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { clamp, predictOriginal } from './prediction.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, PlanRequest, Scheduler } from './scheduler.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { combine, weightedSum } from './vector-steps.ts'

export interface UnClipConfig {
  num_train_timesteps: number
  variance_type: 'fixed_small_log' | 'learned_range'
  clip_sample: boolean
  clip_sample_range: number
  prediction_type: 'epsilon' | 'sample'
  beta_schedule: 'squaredcos_cap_v2'
}

interface UnClipPlan extends Plan {
  readonly config: UnClipConfig
  readonly betas: Float32Array
  readonly alphasCumprod: Float32Array
}

const keys: ConfigKeys<UnClipConfig> = {
  num_train_timesteps: integerKey(1000, { min: 2, max: 1_000_000 }),
  variance_type: choiceKey<'fixed_small_log' | 'learned_range'>('fixed_small_log', [
    'fixed_small_log',
    'learned_range',
  ]),
  clip_sample: flagKey(true),
  clip_sample_range: numberKey(1, { min: 0 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample']),
  beta_schedule: choiceKey('squaredcos_cap_v2', ['squaredcos_cap_v2']),
}

const { exp, fround, log } = Math

/**
 * DDPM as unCLIP (DALL·E 2) and Karlo run it: over any subset of the training timesteps.
 *
 * Ramesh et al. 2022 (arXiv:2204.06125); diffusers `scheduling_unclip.py`.
 */
export const unClip: Scheduler<UnClipConfig, UnClipPlan, null> = {
  keys,
  about: {
    papers: ['2204.06125', '2102.09672'],
    source: 'scheduling_unclip.py',
    evaluations: '1',
    stochastic: 'always',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const { beta_start, beta_end, trained_betas } = betaKeys(['squaredcos_cap_v2'])
    const betas = betasOf({
      ...config,
      beta_start: beta_start.default,
      beta_end: beta_end.default,
      trained_betas: trained_betas.default,
    })
    const timesteps = timestepsOf(config, request)
    return {
      timesteps,
      sigmas: null,
      initNoiseSigma: 1,
      order: 1,
      config,
      betas,
      alphasCumprod: alphasCumprodOf(betas),
    }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: ({ timesteps }, i) => (timesteps[i]! > 0 ? ONE_DRAW : null),

  step({ config, timesteps, betas, alphasCumprod: alphas }, i, modelOutput, sample, _state, [noise], _options, out) {
    const t = timesteps[i]!
    const previous = timesteps[i + 1] ?? t - 1
    const alphaProd = alphas[t]!
    const alphaProdPrev = previous >= 0 ? alphas[previous]! : 1
    const betaProd = fround(1 - alphaProd)
    const betaProdPrev = fround(1 - alphaProdPrev)
    const beta = previous === t - 1 ? betas[t]! : fround(1 - fround(alphaProd / alphaProdPrev))
    const alpha = fround(1 - beta)
    predictOriginal(config.prediction_type, torchSqrt(alphaProd), torchSqrt(betaProd), modelOutput, sample, out)
    if (config.clip_sample) clamp(out, config.clip_sample_range)
    const originalWeight = fround(fround(torchSqrt(alphaProdPrev) * beta) / betaProd)
    const sampleWeight = fround(fround(torchSqrt(alpha) * betaProdPrev) / betaProd)
    const variance = fround(fround(betaProdPrev / betaProd) * beta)
    if (noise === undefined) weightedSum(originalWeight, out, sampleWeight, sample, out)
    else if (config.variance_type === 'fixed_small_log') {
      const deviation = fround(exp(fround(0.5 * fround(log(Math.max(variance, 1e-20))))))
      combine([originalWeight, sampleWeight, deviation], [out, sample, noise], out)
    } else {
      weightedSum(originalWeight, out, sampleWeight, sample, out)
      addLearned(fround(log(variance)), fround(log(beta)), modelOutput, noise, out)
    }
    return null
  },

  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod[plan.timesteps[i]!]!, original, noise, out)
  },
}

/** The model puts the variance's channels after the prediction's. */
function addLearned(min: number, max: number, modelOutput: Float32Array, noise: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    const fraction = (modelOutput[size + j]! + 1) / 2
    out[j] = out[j]! + exp(0.5 * (fraction * max + (1 - fraction) * min)) * noise[j]!
  }
}

function timestepsOf({ num_train_timesteps: train }: UnClipConfig, request: PlanRequest): readonly number[] {
  if ('timesteps' in request) {
    const given = request.timesteps
    const isFine = given.every((t, i) => Number.isInteger(t) && t >= 0 && t < train && (i === 0 || t < given[i - 1]!))
    if (isFine && given.length > 0) return given
    throw new RangeError(`timesteps is [${given.join(', ')}]; want descending integers from 0 to ${train - 1}.`)
  }
  const steps = stepsOf(request, 'UnCLIPScheduler')
  if (steps < 2) throw new RangeError('numInferenceSteps is 1; UnCLIPScheduler wants at least 2.')
  const ratio = (train - 1) / (steps - 1)
  return Array.from({ length: steps }, (_, i) => roundHalfEven((steps - 1 - i) * ratio))
}
