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
import { dpmWeights, solverLevel } from './dpm-solver-update.ts'
import type { DpmAlgorithm, SolverLevel, Weights } from './dpm-solver-update.ts'
import { predictNoise, predictOriginal, thresholdOriginal } from './prediction.ts'
import type { ThresholdConfig } from './prediction.ts'
import { copyInput } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { solverSchedule } from './solver-schedule.ts'
import type { SolverScheduleConfig } from './solver-schedule.ts'
import { combine, weightedSum } from './vector-steps.ts'

export interface SinglestepConfig extends SolverScheduleConfig, ThresholdConfig {
  solver_order: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction' | 'flow_prediction'
  algorithm_type: 'dpmsolver' | 'dpmsolver++' | 'sde-dpmsolver++'
  solver_type: 'midpoint' | 'heun'
  lower_order_final: boolean
  final_sigmas_type: 'zero' | 'sigma_min'
  lambda_min_clipped: number | '-inf' | null
  variance_type: VarianceType | null
  time_shift_type: TimeShift
}

interface SinglestepPlan extends Plan {
  readonly config: SinglestepConfig
  readonly sigmas: Float32Array
  readonly algorithm: DpmAlgorithm
  readonly levels: readonly SolverLevel[]
  /** Order of each step: 1 starts a group that the following ones refine. */
  readonly orders: readonly number[]
}

export interface SinglestepState {
  /** Converted model outputs, the newest first; fewer than solver_order. */
  readonly outputs: readonly Float32Array[]
  /** Where the group of steps started. */
  readonly sample: Float32Array | null
}

const keys: ConfigKeys<SinglestepConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  solver_order: integerKey(2, { min: 1, max: 3 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction', 'flow_prediction']),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  sample_max_value: numberKey(1, { min: 0 }),
  // What other solvers of the family are configured with is taken for the nearest of its own, as in diffusers.
  algorithm_type: adoptingKey('dpmsolver++', ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver++'], { deis: 'dpmsolver++' }),
  solver_type: adoptingKey('midpoint', ['midpoint', 'heun'], { logrho: 'midpoint', bh1: 'midpoint', bh2: 'midpoint' }),
  lower_order_final: flagKey(false),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  use_flow_sigmas: flagKey(false),
  flow_shift: numberKey(1, { min: 0 }),
  final_sigmas_type: choiceKey('zero', ['zero', 'sigma_min']),
  lambda_min_clipped: boundKey(),
  variance_type: varianceKey(),
  use_dynamic_shifting: flagKey(false),
  time_shift_type: timeShiftKey(),
}

const { fround } = Math

/**
 * DPM-Solver and DPM-Solver++ as singlestep methods: groups of one to three steps from one sample, each with one model call
 * more behind it.
 *
 * Lu et al. 2022 (arXiv:2206.00927, arXiv:2211.01095); diffusers `scheduling_dpmsolver_singlestep.py`. A number of steps that
 * groups do not divide, or an end at sigma 0, turns lower_order_final on.
 */
export const dpmSolverSinglestep: Scheduler<SinglestepConfig, SinglestepPlan, SinglestepState> = {
  keys,
  about: {
    papers: ['2206.00927', '2211.01095'],
    source: 'scheduling_dpmsolver_singlestep.py',
    evaluations: '1',
    stochastic: 'when algorithm_type is sde-dpmsolver++',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    if (config.algorithm_type === 'dpmsolver' && config.final_sigmas_type === 'zero') {
      throw new RangeError('algorithm_type dpmsolver cannot end at sigma 0; set final_sigmas_type to sigma_min.')
    }
    const name = 'DPMSolverSinglestepScheduler'
    const { sigmas, timesteps } = solverSchedule(config, request, alphasCumprod(config), name, { roundsCosine: true })
    return {
      timesteps,
      sigmas,
      initNoiseSigma: 1,
      order: 1,
      config,
      algorithm: config.algorithm_type,
      levels: Array.from(sigmas, (sigma) => solverLevel(sigma, config.use_flow_sigmas)),
      orders: ordersOf(config, timesteps.length),
    }
  },

  initialState: () => ({ outputs: [], sample: null }),
  scaleModelInput: copyInput,
  noiseOf: ({ algorithm }) => (algorithm === 'sde-dpmsolver++' ? ONE_DRAW : null),

  step(plan, i, modelOutput, sample, state, [noise], _options, out) {
    const outputs = [convert(plan, i, modelOutput, sample), ...state.outputs].slice(0, plan.config.solver_order)
    const order = Math.min(plan.orders[i]!, outputs.length)
    const start = order === 1 || state.sample === null ? sample : state.sample
    update(plan, i, outputs.slice(0, order), start, noise, out)
    return { outputs, sample: order === 1 ? sample.slice() : start }
  },

  addNoise(plan, i, original, noise, out) {
    const { alpha, sigma } = plan.levels[i]!
    weightedSum(alpha, original, sigma, noise, out)
  },
}

/** diffusers `get_order_list`. */
function ordersOf(config: SinglestepConfig, steps: number): number[] {
  const { solver_order: order, final_sigmas_type: final } = config
  const lowersFinal = config.lower_order_final || steps % order !== 0 || final === 'zero'
  const group = [1, 2, 3].slice(0, order)
  const groups = (count: number): number[] => Array.from({ length: Math.max(count, 0) }, () => group).flat()
  const whole = Math.floor(steps / order)
  const rest = steps % order
  if (order === 1) return groups(steps)
  const orders = !lowersFinal
    ? groups(whole)
    : rest === 0
      ? [...groups(whole - 1), ...(order === 3 ? [1, 2, 1] : [1, 1])]
      : [...groups(whole), ...group.slice(0, rest)]
  if (final === 'zero') orders[orders.length - 1] = 1
  return orders
}

function convert(plan: SinglestepPlan, i: number, modelOutput: Float32Array, sample: Float32Array): Float32Array {
  const { config, levels, sigmas, algorithm } = plan
  const { alpha, sigma } = levels[i]!
  const type = config.prediction_type
  const converted = new Float32Array(sample.length)
  const isNoise = algorithm === 'dpmsolver'
  if (type === 'flow_prediction') {
    if (isNoise) throw new RangeError('algorithm_type dpmsolver cannot use flow_prediction; set it to dpmsolver++.')
    predictOriginal(type, 1, sigmas[i]!, modelOutput, sample, converted)
  } else if (isNoise) predictNoise(type, alpha, sigma, modelOutput, sample, converted)
  else predictOriginal(type, alpha, sigma, modelOutput, sample, converted)
  if (!config.thresholding) return converted
  if (isNoise) predictOriginal('epsilon', alpha, sigma, converted, sample, converted)
  thresholdOriginal(converted, config)
  if (isNoise) predictNoise('sample', alpha, sigma, converted, sample, converted)
  return converted
}

/** From the start of the group to the next level. @param outputs of the group, the newest first */
function update(
  { config, algorithm, levels }: SinglestepPlan,
  i: number,
  outputs: readonly Float32Array[],
  start: Float32Array,
  noise: Float32Array | undefined,
  out: Float32Array,
): void {
  const order = outputs.length
  const to = levels[i + 1]!
  const from = levels[i - order + 1]!
  const h = fround(to.lambda - from.lambda)
  const weights = dpmWeights(algorithm, to, from, h)
  const isHeun = config.solver_type === 'heun'
  const fraction = (k: number): number => fround(fround(levels[k]!.lambda - from.lambda) / h)
  const factors = factorsOf(
    weights,
    isHeun,
    order === 1 ? [] : order === 2 ? [fraction(i)] : [fraction(i), fraction(i - 1)],
  )
  if (noise === undefined) return combine([weights.sample, ...factors], [start, ...outputs], out)
  combine([weights.sample, ...factors, weights.noise], [start, ...outputs, noise], out)
}

/**
 * What each output weighs, the newest first: the first of the group counts for itself and for every difference to it.
 * @param fractions how far the newest output, and the one before, are into the group
 */
function factorsOf(weights: Weights, isHeun: boolean, fractions: readonly number[]): number[] {
  const [r0, r1] = fractions
  if (r0 === undefined) return [weights.d0]
  if (r1 === undefined) {
    const slope = (isHeun ? weights.d1Heun : weights.d1Midpoint) / r0
    return [slope, weights.d0 - slope]
  }
  if (!isHeun) return [weights.d1Heun / r0, 0, weights.d0 - weights.d1Heun / r0]
  // D1 = (r0 near - r1 far) / (r0 - r1) and D2 = 2 (far - near) / (r0 - r1), near = (m1 - m2) / r1, far = (m0 - m2) / r0.
  const far = (-weights.d1Heun * r1 + 2 * weights.d2) / (r0 - r1) / r0
  const near = (weights.d1Heun * r0 - 2 * weights.d2) / (r0 - r1) / r1
  return [far, near, weights.d0 - far - near]
}
