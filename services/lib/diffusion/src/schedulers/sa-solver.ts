import { ONE_DRAW } from '../random/draw-noise.ts'
import { alphasCumprod, diffuse } from './alphas.ts'
import { betaKeys, boundKey, choiceKey, flagKey, integerKey, nullKey, numberKey, varianceKey } from './config.ts'
import type { ConfigKeys, VarianceType } from './config.ts'
import { solverLevel } from './dpm-solver-update.ts'
import type { SolverLevel } from './dpm-solver-update.ts'
import { predictNoise, predictOriginal, thresholdOriginal } from './prediction.ts'
import type { ThresholdConfig } from './prediction.ts'
import { adamsUpdate, secondOrderCorrection } from './sa-solver-update.ts'
import type { SaStep } from './sa-solver-update.ts'
import { copyInput } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { solverSchedule } from './solver-schedule.ts'
import type { SolverScheduleConfig } from './solver-schedule.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'

export interface SaSolverConfig extends Omit<SolverScheduleConfig, 'use_dynamic_shifting'>, ThresholdConfig {
  predictor_order: number
  corrector_order: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction' | 'flow_prediction'
  tau_func: null
  algorithm_type: 'data_prediction' | 'noise_prediction'
  lower_order_final: boolean
  lambda_min_clipped: number | '-inf' | null
  variance_type: VarianceType | null
  timestep_spacing: TimestepSpacing
  steps_offset: number
}

interface SaSolverPlan extends Plan {
  readonly config: SaSolverConfig
  readonly sigmas: Float32Array
  readonly levels: readonly SolverLevel[]
  readonly alphasCumprod: Float32Array
}

export interface SaSolverState {
  /** Converted model outputs, the newest first. */
  readonly outputs: readonly Float32Array[]
  /** Where the last step started, what noise it took, and the order that its correction may have. */
  readonly last: { readonly sample: Float32Array; readonly noise: Float32Array; readonly correctorOrder: number } | null
}

const keys: ConfigKeys<SaSolverConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  predictor_order: integerKey(2, { min: 1, max: 4 }),
  corrector_order: integerKey(2, { min: 1, max: 4 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction', 'flow_prediction']),
  tau_func: nullKey(),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  sample_max_value: numberKey(1, { min: 0 }),
  algorithm_type: choiceKey<'data_prediction' | 'noise_prediction'>('data_prediction', [
    'data_prediction',
    'noise_prediction',
  ]),
  lower_order_final: flagKey(true),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  use_flow_sigmas: flagKey(false),
  flow_shift: numberKey(1, { min: 0 }),
  lambda_min_clipped: boundKey(),
  variance_type: varianceKey(),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
}

/** Noise in the middle of the schedule only: diffusers' default tau_func. */
const tauAt = (timestep: number): number => (timestep >= 200 && timestep <= 800 ? 1 : 0)

/**
 * Stochastic Adams predictor and corrector.
 *
 * Xue et al. 2023 (arXiv:2309.05019), algorithm 1; diffusers `scheduling_sasolver.py`. Noise is drawn at every step, also
 * where tau is 0.
 */
export const saSolver: Scheduler<SaSolverConfig, SaSolverPlan, SaSolverState> = {
  keys,
  about: {
    papers: ['2309.05019'],
    source: 'scheduling_sasolver.py',
    evaluations: '1',
    stochastic: 'always (no trace of it outside of timesteps 200 to 800)',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const schedule = { ...config, use_dynamic_shifting: false }
    const alphas = alphasCumprod(config)
    const { sigmas, timesteps } = solverSchedule(schedule, request, alphas, 'SASolverScheduler', {
      finalLevel: (last, trained, isRespaced) => (isRespaced ? last : trained),
      roundsCosine: true,
    })
    const levels = Array.from(sigmas, (sigma) => solverLevel(sigma, config.use_flow_sigmas))
    return { timesteps, sigmas, initNoiseSigma: 1, order: 1, config, levels, alphasCumprod: alphas }
  },

  initialState: () => ({ outputs: [], last: null }),
  scaleModelInput: copyInput,
  noiseOf: () => ONE_DRAW,

  step(plan, i, modelOutput, sample, { outputs, last }, [noise], _options, out) {
    const { config, levels, timesteps } = plan
    const output = convert(plan, i, modelOutput, sample)
    const predictsOriginal = config.algorithm_type === 'data_prediction'
    let corrected = sample
    if (i > 0 && last !== null) {
      corrected = new Float32Array(sample.length)
      const step: SaStep = {
        predictsOriginal,
        tau: tauAt(timesteps[i - 1]!),
        from: levels[i - 1]!,
        to: levels[i]!,
        lambdas: Array.from({ length: last.correctorOrder }, (_, k) => levels[i - k]!.lambda),
      }
      const correction = secondOrderCorrection(step, { type: 'corrector' })
      adamsUpdate(step, [output, ...outputs], correction, last.sample, last.noise, corrected)
    }
    const most = Math.max(config.predictor_order, config.corrector_order - 1)
    const known = [output, ...outputs].slice(0, most)
    const stepsLeft = config.lower_order_final ? timesteps.length - i : Infinity
    const warm = Math.min(outputs.length, most)
    const order = Math.min(config.predictor_order, stepsLeft, warm + 1)
    const step: SaStep = {
      predictsOriginal,
      tau: tauAt(timesteps[i]!),
      from: levels[i]!,
      to: levels[i + 1]!,
      lambdas: Array.from({ length: order }, (_, k) => levels[i - k]!.lambda),
    }
    const correction = order === 2 ? secondOrderCorrection(step, { type: 'predictor', before: levels[i - 1]! }) : 0
    adamsUpdate(step, known, correction, corrected, noise!, out)
    const correctorOrder = Math.min(config.corrector_order, stepsLeft + 1, warm + 2)
    const start = corrected === sample ? sample.slice() : corrected
    return { outputs: known, last: { sample: start, noise: noise!, correctorOrder } }
  },

  // As in diffusers by the timestep, also where the levels are not those of the betas.
  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod[plan.timesteps[i]!]!, original, noise, out)
  },
}

function convert(plan: SaSolverPlan, i: number, modelOutput: Float32Array, sample: Float32Array): Float32Array {
  const { config, levels, sigmas } = plan
  const { alpha, sigma } = levels[i]!
  const type = config.prediction_type
  const out = new Float32Array(sample.length)
  if (config.algorithm_type === 'data_prediction') {
    const isFlow = type === 'flow_prediction'
    predictOriginal(type, isFlow ? 1 : alpha, isFlow ? sigmas[i]! : sigma, modelOutput, sample, out)
    if (config.thresholding) thresholdOriginal(out, config)
    return out
  }
  if (type === 'flow_prediction') {
    throw new RangeError('flow_prediction needs algorithm_type data_prediction.')
  }
  predictNoise(type, alpha, sigma, modelOutput, sample, out)
  if (!config.thresholding) return out
  predictOriginal('epsilon', alpha, sigma, out, sample, out)
  thresholdOriginal(out, config)
  predictNoise('sample', alpha, sigma, out, sample, out)
  return out
}
