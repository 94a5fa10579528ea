import { elementwise } from '../kernels/elementwise.ts'
import { rounded } from '../kernels/expression.ts'
import { alphasCumprod } from './alphas.ts'
import { adoptingKey, betaKeys, choiceKey, flagKey, integerKey, numberKey, timeShiftKey } from './config.ts'
import type { ConfigKeys, TimeShift } from './config.ts'
import { solverLevel } from './dpm-solver-update.ts'
import type { SolverLevel } from './dpm-solver-update.ts'
import { numpyLog } from './numpy-log.ts'
import { predictNoise, predictOriginal, thresholdOriginal } from './prediction.ts'
import type { ThresholdConfig } from './prediction.ts'
import { copyInput } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { solverSchedule } from './solver-schedule.ts'
import type { SolverScheduleConfig } from './solver-schedule.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { roundedSum, weightedSum } from './vector-steps.ts'

export interface DeisConfig extends SolverScheduleConfig, ThresholdConfig {
  solver_order: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction' | 'flow_prediction'
  algorithm_type: 'deis'
  solver_type: 'logrho'
  lower_order_final: boolean
  timestep_spacing: TimestepSpacing
  steps_offset: number
  time_shift_type: TimeShift
}

interface DeisPlan extends Plan {
  readonly config: DeisConfig
  readonly sigmas: Float32Array
  readonly levels: readonly SolverLevel[]
}

/** Past predictions of the noise, the newest first; fewer than solver_order. */
export interface DeisState {
  readonly outputs: readonly Float32Array[]
}

const keys: ConfigKeys<DeisConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  solver_order: integerKey(2, { min: 1, max: 3 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction', 'flow_prediction']),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  sample_max_value: numberKey(1, { min: 0 }),
  // What other solvers of the family are configured with is taken for the only one of its own, as in diffusers.
  algorithm_type: adoptingKey('deis', ['deis'], { dpmsolver: 'deis', 'dpmsolver++': 'deis' }),
  solver_type: adoptingKey('logrho', ['logrho'], { midpoint: 'logrho', heun: 'logrho', bh1: 'logrho', bh2: 'logrho' }),
  lower_order_final: flagKey(true),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  use_flow_sigmas: flagKey(false),
  flow_shift: numberKey(1, { min: 0 }),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
  use_dynamic_shifting: flagKey(false),
  time_shift_type: timeShiftKey(),
}

const { exp, fround } = Math

/**
 * Exponential integrator with polynomials in log rho through past predictions of the noise.
 *
 * Zhang and Chen 2022 (arXiv:2204.13902), rhoAB; diffusers `scheduling_deis_multistep.py`. Ends at the smallest training
 * level, or repeats the last one where levels are spaced anew.
 */
export const deisMultistep: Scheduler<DeisConfig, DeisPlan, DeisState> = {
  keys,
  about: {
    papers: ['2204.13902'],
    source: 'scheduling_deis_multistep.py',
    evaluations: '1',
    stochastic: 'never',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const { sigmas, timesteps } = solverSchedule(config, request, alphasCumprod(config), 'DEISMultistepScheduler', {
      finalLevel: (last, trained, isRespaced) => (isRespaced ? last : trained),
      roundsCosine: true,
    })
    const levels = Array.from(sigmas, (sigma) => solverLevel(sigma, config.use_flow_sigmas))
    return { timesteps, sigmas, initNoiseSigma: 1, order: 1, config, levels }
  },

  initialState: () => ({ outputs: [] }),
  scaleModelInput: copyInput,
  noiseOf: () => null,

  step(plan, i, modelOutput, sample, state, _noise, _options, out) {
    const { config, levels } = plan
    const outputs = [noiseOf(plan, i, modelOutput, sample), ...state.outputs].slice(0, config.solver_order)
    const order = orderOf(plan, i, state.outputs.length)
    const [to, from] = [levels[i + 1]!, levels[i]!]
    if (order === 1) {
      const h = fround(to.lambda - from.lambda)
      const weight = fround(to.sigma * fround(fround(exp(h)) - 1))
      roundedSum(fround(to.alpha / from.alpha), sample, -weight, outputs[0]!, out)
    } else {
      const rho = ({ sigma, alpha }: SolverLevel): number => fround(sigma / alpha)
      const past = Array.from({ length: order }, (_, k) => rho(levels[i - k]!))
      const weights = order === 2 ? linearWeights(rho(to), past) : quadraticWeights(rho(to), past)
      advance([from.alpha, to.alpha, ...weights], [sample, ...outputs.slice(0, order)], out)
    }
    return { outputs: outputs.slice(0, Math.max(config.solver_order - 1, 1)) }
  },

  addNoise(plan, i, original, noise, out) {
    const { alpha, sigma } = plan.levels[i]!
    weightedSum(alpha, original, sigma, noise, out)
  },
}

function orderOf({ config, timesteps }: DeisPlan, i: number, pastOutputs: number): number {
  const stepsAfter = timesteps.length - 1 - i
  const isShort = config.lower_order_final && timesteps.length < 15
  const most = isShort && stepsAfter < 2 ? stepsAfter + 1 : 3
  return Math.min(most, config.solver_order, pastOutputs + 1)
}

/** The predicted noise, by way of x_0 that may be thresholded. */
function noiseOf(plan: DeisPlan, i: number, modelOutput: Float32Array, sample: Float32Array): Float32Array {
  const { config, levels, sigmas } = plan
  const { alpha, sigma } = levels[i]!
  const out = new Float32Array(sample.length)
  const type = config.prediction_type
  // A flow's level is the sigma itself, whatever the schedule makes of it; alpha stays the schedule's.
  const level = type === 'flow_prediction' ? sigmas[i]! : sigma
  predictOriginal(type, alpha, level, modelOutput, sample, out)
  if (config.thresholding) thresholdOriginal(out, config)
  predictNoise('sample', alpha, level, out, sample, out)
  return out
}

/** to (sample / from + the sum of weights[k] outputs[k]), each operation rounded to float32: the terms nearly cancel. */
const advance = elementwise(([from, to, ...weights], [sample, ...outputs]) => {
  const terms = weights.map((weight, k) => rounded.mul(weight, outputs[k]!))
  return rounded.mul(to!, terms.reduce(rounded.add, rounded.div(sample!, from!)))
})

/** Integrals of the line through two points in log rho. */
function linearWeights(to: number, [b, c]: readonly number[]): readonly number[] {
  const integral = (t: number, own: number, other: number): number => {
    const [lt, lo] = [numpyLog(t), numpyLog(other)]
    return fround(fround(t * fround(fround(-lo + lt) - 1)) / fround(numpyLog(own) - lo))
  }
  const weight = (own: number, other: number): number => fround(integral(to, own, other) - integral(b!, own, other))
  return [weight(b!, c!), weight(c!, b!)]
}

/** Integrals of the parabola through three points in log rho. */
function quadraticWeights(to: number, [b, c, d]: readonly number[]): readonly number[] {
  const integral = (t: number, own: number, second: number, third: number): number => {
    const [lt, lb, lc, ld] = [t, own, second, third].map(numpyLog) as [number, number, number, number]
    const first = fround(lc * fround(fround(ld - lt) + 1))
    const rest = fround(fround(fround(first - fround(ld * lt)) + ld) + fround(lt * lt))
    const numerator = fround(t * fround(fround(rest - fround(2 * lt)) + 2))
    return fround(numerator / fround(fround(lb - lc) * fround(lb - ld)))
  }
  const weight = (own: number, second: number, third: number): number =>
    fround(integral(to, own, second, third) - integral(b!, own, second, third))
  return [weight(b!, c!, d!), weight(c!, d!, b!), weight(d!, b!, c!)]
}
