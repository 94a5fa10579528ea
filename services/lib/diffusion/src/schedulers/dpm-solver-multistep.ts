import { ONE_DRAW } from '../random/draw-noise.ts'
import { alphasCumprod } from './alphas.ts'
import {
  adoptingKey,
  betaKeys,
  boundKey,
  choiceKey,
  flagKey,
  integerKey,
  numberKey,
  timeShiftKey,
  varianceKey,
} from './config.ts'
import type { ConfigKeys, TimeShift, VarianceType } from './config.ts'
import { dpmUpdate, solverLevel } from './dpm-solver-update.ts'
import type { DpmAlgorithm, SolverLevel } from './dpm-solver-update.ts'
import { predictNoise, predictOriginal, thresholdOriginal } from './prediction.ts'
import type { ThresholdConfig } from './prediction.ts'
import { copyInput } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { solverSchedule } from './solver-schedule.ts'
import type { SolverScheduleConfig } from './solver-schedule.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { weightedSum } from './vector-steps.ts'

export interface MultistepConfig extends SolverScheduleConfig, ThresholdConfig {
  use_lu_lambdas: boolean
  final_sigmas_type: 'zero' | 'sigma_min'
  lambda_min_clipped: number | '-inf' | null
  timestep_spacing: TimestepSpacing
  steps_offset: number
  solver_order: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction' | 'flow_prediction'
  algorithm_type: DpmAlgorithm
  solver_type: 'midpoint' | 'heun'
  lower_order_final: boolean
  euler_at_final: boolean
  variance_type: VarianceType | null
  rescale_betas_zero_snr: boolean
  time_shift_type: TimeShift
}

export interface MultistepPlan extends Plan {
  readonly config: MultistepConfig
  readonly sigmas: Float32Array
  readonly algorithm: DpmAlgorithm
  readonly levels: readonly SolverLevel[]
}

export interface MultistepState {
  /** Converted model outputs of past steps, the newest first; fewer than solver_order. */
  readonly outputs: readonly Float32Array[]
}

const keys: ConfigKeys<MultistepConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  solver_order: integerKey(2, { min: 1, max: 3 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction', 'flow_prediction']),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  sample_max_value: numberKey(1, { min: 0 }),
  algorithm_type: adoptingKey('dpmsolver++', ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver', 'sde-dpmsolver++'], {
    deis: 'dpmsolver++',
  }),
  solver_type: adoptingKey('midpoint', ['midpoint', 'heun'], { logrho: 'midpoint', bh1: 'midpoint', bh2: 'midpoint' }),
  lower_order_final: flagKey(true),
  euler_at_final: flagKey(false),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  use_lu_lambdas: flagKey(false),
  use_flow_sigmas: flagKey(false),
  flow_shift: numberKey(1, { min: 0 }),
  final_sigmas_type: choiceKey('zero', ['zero', 'sigma_min']),
  lambda_min_clipped: boundKey(),
  variance_type: varianceKey(),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
  rescale_betas_zero_snr: flagKey(false),
  use_dynamic_shifting: flagKey(false),
  time_shift_type: timeShiftKey(),
}

/**
 * DPM-Solver and DPM-Solver++ as multistep methods of order 1 to 3, for the ODE and the SDE.
 *
 * Lu et al. 2022 (arXiv:2206.00927, arXiv:2211.01095); diffusers `scheduling_dpmsolver_multistep.py`. Starts with order 1
 * wherever the loop starts, and ends with order 1 when the last sigma is 0 or there are fewer than 15 steps.
 */
export const dpmSolverMultistep: Scheduler<MultistepConfig, MultistepPlan, MultistepState> = {
  keys,
  about: {
    papers: ['2206.00927', '2211.01095'],
    source: 'scheduling_dpmsolver_multistep.py',
    evaluations: '1',
    stochastic: 'when algorithm_type is sde-dpmsolver or sde-dpmsolver++',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    assertSolver(config)
    const alphas = alphasCumprod(config)
    if (config.rescale_betas_zero_snr) alphas[alphas.length - 1] = 2 ** -24
    return multistepPlan(config, solverSchedule(config, request, alphas, 'DPMSolverMultistepScheduler'))
  },

  initialState: () => ({ outputs: [] }),
  scaleModelInput: copyInput,
  noiseOf: ({ algorithm }) => (algorithm.startsWith('sde-') ? ONE_DRAW : null),

  step(plan, i, modelOutput, sample, state, [noise], _options, out) {
    const { config, levels } = plan
    const newest = convertModelOutput(plan, i, modelOutput, sample)
    const outputs = [newest, ...state.outputs].slice(0, orderOf(plan, i, state.outputs.length))
    const past = outputs.map((_, k) => levels[i - k]!)
    dpmUpdate(
      { algorithm: plan.algorithm, solverType: config.solver_type },
      levels[i + 1]!,
      past,
      outputs,
      sample,
      noise,
      out,
    )
    return { outputs: [newest, ...state.outputs].slice(0, config.solver_order - 1) }
  },

  addNoise(plan, i, original, noise, out) {
    const { alpha, sigma } = plan.levels[i]!
    weightedSum(alpha, original, sigma, noise, out)
  },
}

/** A plan over levels that need not descend. @throws RangeError */
export function multistepPlan(
  config: MultistepConfig,
  { sigmas, timesteps }: { readonly sigmas: Float32Array; readonly timesteps: readonly number[] },
): MultistepPlan {
  const plan: MultistepPlan = {
    timesteps,
    sigmas,
    initNoiseSigma: 1,
    order: 1,
    config,
    algorithm: config.algorithm_type,
    levels: Array.from(sigmas, (sigma) => solverLevel(sigma, config.use_flow_sigmas)),
  }
  if (plan.algorithm === 'sde-dpmsolver' && timesteps.some((_, i) => orderOf(plan, i, i) === 3)) {
    throw new RangeError('algorithm_type sde-dpmsolver has no steps of order 3; set solver_order to 1 or 2.')
  }
  return plan
}

function assertSolver(config: MultistepConfig): void {
  const { algorithm_type: algorithm } = config
  const integratesNoise = algorithm === 'dpmsolver' || algorithm === 'sde-dpmsolver'
  if (integratesNoise && config.final_sigmas_type === 'zero') {
    throw new RangeError(`algorithm_type ${algorithm} cannot end at sigma 0; set final_sigmas_type to sigma_min.`)
  }
  if (integratesNoise && config.prediction_type === 'flow_prediction') {
    throw new RangeError(`algorithm_type ${algorithm} cannot use flow_prediction; set it to dpmsolver++.`)
  }
}

/** The order of step i: as many outputs as there are, fewer at the end. */
function orderOf({ config, timesteps }: MultistepPlan, i: number, pastOutputs: number): number {
  const stepsAfter = timesteps.length - 1 - i
  const isShort = config.lower_order_final && timesteps.length < 15
  const isEulerFinal = config.euler_at_final || isShort || config.final_sigmas_type === 'zero'
  const most = stepsAfter === 0 && isEulerFinal ? 1 : stepsAfter === 1 && isShort ? 2 : 3
  return Math.min(most, config.solver_order, pastOutputs + 1)
}

/** What the algorithm integrates: x_0 for the ++ kinds, else the noise. A new array. */
function convertModelOutput(
  { config, levels, sigmas, algorithm }: MultistepPlan,
  i: number,
  modelOutput: Float32Array,
  sample: Float32Array,
): Float32Array {
  const { alpha, sigma } = levels[i]!
  const { prediction_type: type } = config
  const isNoise = algorithm === 'dpmsolver' || algorithm === 'sde-dpmsolver'
  const converted = new Float32Array(sample.length)
  if (type === 'flow_prediction') predictOriginal(type, 1, sigmas[i]!, modelOutput, sample, converted)
  else if (isNoise) predictNoise(type, alpha, sigma, modelOutput, sample, converted)
  else predictOriginal(type, alpha, sigma, modelOutput, sample, converted)
  if (!config.thresholding) return converted

  if (isNoise) predictOriginal('epsilon', alpha, sigma, converted, sample, converted)
  thresholdOriginal(converted, config)
  if (isNoise) predictNoise('sample', alpha, sigma, converted, sample, converted)
  return converted
}
