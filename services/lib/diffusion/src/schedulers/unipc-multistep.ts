import { alphasCumprod } from './alphas.ts'
import { linspace } from './betas.ts'
import {
  adoptingKey,
  betaKeys,
  choiceKey,
  flagKey,
  indexListKey,
  integerKey,
  nullableNumberKey,
  nullKey,
  numberKey,
  timeShiftKey,
} from './config.ts'
import type { ConfigKeys, TimeShift } from './config.ts'
import { solverLevel } from './dpm-solver-update.ts'
import type { SolverLevel } from './dpm-solver-update.ts'
import { predictNoise, predictOriginal, thresholdOriginal } from './prediction.ts'
import type { ThresholdConfig } from './prediction.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, PlanRequest, Scheduler } from './scheduler.ts'
import { flowShift, solverSchedule } from './solver-schedule.ts'
import type { SolverScheduleConfig } from './solver-schedule.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { uniCorrector, uniPredictor } from './unipc-update.ts'
import { weightedSum } from './vector-steps.ts'

export interface UniPcConfig extends SolverScheduleConfig, ThresholdConfig {
  solver_order: number
  prediction_type: 'epsilon' | 'sample' | 'v_prediction' | 'flow_prediction'
  predict_x0: boolean
  solver_type: 'bh1' | 'bh2'
  lower_order_final: boolean
  disable_corrector: readonly number[]
  solver_p: null
  timestep_spacing: TimestepSpacing
  steps_offset: number
  final_sigmas_type: 'zero' | 'sigma_min'
  rescale_betas_zero_snr: boolean
  time_shift_type: TimeShift
  shift_terminal: number | null
}

interface UniPcPlan extends Plan {
  readonly config: UniPcConfig
  readonly sigmas: Float32Array
  readonly levels: readonly SolverLevel[]
}

export interface UniPcState {
  /** Converted model outputs, the newest first; at most solver_order. */
  readonly outputs: readonly Float32Array[]
  /** Where the last step started, after its correction, and the order that it had. */
  readonly last: { readonly sample: Float32Array; readonly order: number } | null
}

const keys: ConfigKeys<UniPcConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  solver_order: integerKey(2, { min: 1, max: 9 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction', 'flow_prediction']),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  sample_max_value: numberKey(1, { min: 0 }),
  predict_x0: flagKey(true),
  // What other solvers of the family are configured with is taken for bh2, as in diffusers.
  solver_type: adoptingKey('bh2', ['bh1', 'bh2'], { midpoint: 'bh2', heun: 'bh2', logrho: 'bh2' }),
  lower_order_final: flagKey(true),
  disable_corrector: indexListKey(),
  solver_p: nullKey(),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  use_flow_sigmas: flagKey(false),
  flow_shift: numberKey(1, { min: 0 }),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
  final_sigmas_type: choiceKey('zero', ['zero', 'sigma_min']),
  rescale_betas_zero_snr: flagKey(false),
  use_dynamic_shifting: flagKey(false),
  time_shift_type: timeShiftKey(),
  sigma_min: nullableNumberKey(),
  sigma_max: nullableNumberKey(),
  shift_terminal: nullableNumberKey(),
}

/**
 * Unified predictor and corrector: each model output first corrects the sample that it was made of, then predicts the next.
 *
 * Zhao et al. 2023 (arXiv:2302.04867); diffusers `scheduling_unipc_multistep.py`.
 */
export const uniPcMultistep: Scheduler<UniPcConfig, UniPcPlan, UniPcState> = {
  keys,
  about: {
    papers: ['2302.04867'],
    source: 'scheduling_unipc_multistep.py',
    evaluations: '1',
    stochastic: 'never',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const { sigmas, timesteps } = scheduleOf(config, request)
    if (sigmas.at(-1) === 0) assertEndsAtZero(config, timesteps.length)
    const levels = Array.from(sigmas, (sigma) => solverLevel(sigma, config.use_flow_sigmas))
    return { timesteps, sigmas, initNoiseSigma: 1, order: 1, config, levels }
  },

  initialState: () => ({ outputs: [], last: null }),
  scaleModelInput: copyInput,
  noiseOf: () => null,

  step(plan, i, modelOutput, sample, { outputs, last }, _noise, _options, out) {
    const { config, levels, timesteps } = plan
    const output = convert(plan, i, modelOutput, sample)
    const solver = { predictsOriginal: config.predict_x0, isBh1: config.solver_type === 'bh1' }
    let corrected = sample
    if (i > 0 && last !== null && !config.disable_corrector.includes(i - 1)) {
      corrected = new Float32Array(sample.length)
      const past = Array.from({ length: last.order }, (_, k) => levels[i - 1 - k]!)
      uniCorrector(solver, levels[i]!, past, output, outputs, last.sample, corrected)
    }
    const known = [output, ...outputs].slice(0, config.solver_order)
    const most = config.lower_order_final ? timesteps.length - i : config.solver_order
    const order = Math.min(config.solver_order, most, outputs.length + 1)
    const past = Array.from({ length: order }, (_, k) => levels[i - k]!)
    uniPredictor(solver, levels[i + 1]!, past, known, corrected, out)
    return { outputs: known, last: { sample: corrected === sample ? sample.slice() : corrected, order } }
  },

  addNoise(plan, i, original, noise, out) {
    const { alpha, sigma } = plan.levels[i]!
    weightedSum(alpha, original, sigma, noise, out)
  },
}

/** @throws RangeError where the last step would multiply 0 by infinity */
function assertEndsAtZero(config: UniPcConfig, steps: number): void {
  const { predict_x0: predictsOriginal, solver_type: type, solver_order: order, lower_order_final: isLowered } = config
  if (predictsOriginal && type === 'bh2' && (isLowered || order === 1 || steps === 1)) return
  throw new RangeError(
    'only predict_x0 true, solver_type bh2 and lower_order_final true can end at sigma 0; set final_sigmas_type to sigma_min.',
  )
}

function scheduleOf(
  config: UniPcConfig,
  request: PlanRequest,
): { readonly sigmas: Float32Array; readonly timesteps: readonly number[] } {
  const name = 'UniPCMultistepScheduler'
  const { use_flow_sigmas: isFlow, use_karras_sigmas: isKarras, num_train_timesteps: train } = config
  if ('timesteps' in request) throw new RangeError(`${name} takes no timesteps; want numInferenceSteps.`)
  if (config.shift_terminal !== null && !isFlow) {
    throw new RangeError('shift_terminal needs use_flow_sigmas; set that to true, or shift_terminal to null.')
  }
  if ('sigmas' in request && !isFlow) {
    throw new RangeError(`sigmas of ${name} need use_flow_sigmas; set that to true.`)
  }
  const isSpacedAnew = isKarras || config.use_exponential_sigmas || config.use_beta_sigmas
  if (isFlow && !isSpacedAnew) {
    const levels = flowLevels(config, request, name)
    const final = config.final_sigmas_type === 'zero' ? 0 : levels.at(-1)!
    return { sigmas: Float32Array.from([...levels, final]), timesteps: levels.map((s) => Math.trunc(s * train)) }
  }
  const alphas = alphasCumprod(config)
  if (config.rescale_betas_zero_snr) alphas[alphas.length - 1] = 2 ** -24
  const schedule = solverSchedule(config, request, alphas, name, {
    finalLevel: (last, trained, isRespaced) => (config.final_sigmas_type === 'zero' ? 0 : isRespaced ? last : trained),
    roundsCosine: true,
  })
  if (!isFlow || !isKarras) return schedule
  // Karras levels of a flow: from sigma of x_0 + sigma noise to the share of noise.
  const shares = Array.from(schedule.sigmas, (sigma) => sigma / (sigma + 1))
  return {
    sigmas: Float32Array.from(shares),
    timesteps: shares.slice(0, -1).map((share) => Math.trunc(share * train)),
  }
}

/** From high to low, without the last. */
function flowLevels(config: UniPcConfig, request: PlanRequest, name: string): number[] {
  const train = config.num_train_timesteps
  if (config.use_dynamic_shifting && request.mu === undefined) {
    throw new RangeError(`mu is missing; ${name} with use_dynamic_shifting wants it (or set that to false).`)
  }
  const base =
    'sigmas' in request ? [...request.sigmas] : linspace(1, 1 / train, stepsOf(request, name) + 1).slice(0, -1)
  const shift = flowShift(config, request)
  const shifted = base.map((sigma) =>
    config.use_dynamic_shifting ? shift / (shift + (1 / sigma - 1)) : (shift * sigma) / (1 + (shift - 1) * sigma),
  )
  const { shift_terminal: terminal } = config
  const scale = terminal === null ? 1 : (1 - shifted.at(-1)!) / (1 - terminal)
  const levels = shifted.map((sigma) => 1 - (1 - sigma) / scale)
  // At pure noise the signal would be divided by 0.
  if (Math.abs(levels[0]! - 1) < 1e-6) levels[0] = levels[0]! - 1e-6
  return levels
}

function convert(plan: UniPcPlan, i: number, modelOutput: Float32Array, sample: Float32Array): Float32Array {
  const { config, levels, sigmas } = plan
  const { alpha, sigma } = levels[i]!
  const type = config.prediction_type
  const out = new Float32Array(sample.length)
  if (!config.predict_x0) {
    if (type === 'flow_prediction') throw new RangeError('flow_prediction needs predict_x0; set that to true.')
    predictNoise(type, alpha, sigma, modelOutput, sample, out)
    return out
  }
  const isFlow = type === 'flow_prediction'
  predictOriginal(type, isFlow ? 1 : alpha, isFlow ? sigmas[i]! : sigma, modelOutput, sample, out)
  if (config.thresholding) thresholdOriginal(out, config)
  return out
}
