import { linspace, roundHalfEven } from './betas.ts'
import type { BetaConfig, TimeShift } from './config.ts'
import { numpyLog } from './numpy-log.ts'
import { assertOneRespacing, interpolate, respacedSigmas, sigmaToTimestep, trainingSigmas } from './sigmas.ts'
import type { RespacingConfig } from './sigmas.ts'
import { stepsOf } from './scheduler.ts'
import type { PlanRequest } from './scheduler.ts'
import { arangeDown, assertTrained } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'

/** Keys of the schedule that the fast solvers share (DPM-Solver, DEIS, UniPC, …), as far as each has them. */
export interface SolverScheduleConfig extends BetaConfig, RespacingConfig {
  use_lu_lambdas?: boolean
  use_flow_sigmas: boolean
  flow_shift: number
  use_dynamic_shifting: boolean
  time_shift_type?: TimeShift
  final_sigmas_type?: 'zero' | 'sigma_min'
  /** Timesteps whose log(alpha / sigma) is below it are left out. */
  lambda_min_clipped?: number | '-inf' | null
  timestep_spacing?: TimestepSpacing
  steps_offset?: number
  sigma_min?: number | null
  sigma_max?: number | null
}

/**
 * The noise level that a solver ends at.
 * @param last the level before it
 * @param trained the smallest of the training levels
 */
type FinalLevel = (last: number, trained: number, isRespaced: boolean) => number

export interface ScheduleRules {
  readonly finalLevel?: FinalLevel
  /** Whether timesteps of Karras levels are rounded also where betas follow a cosine. */
  readonly roundsCosine?: boolean
}

interface Schedule {
  readonly sigmas: Float32Array
  readonly timesteps: readonly number[]
}

/**
 * Noise levels, with the last one that the solver ends at, and the integer timesteps that the model is called with.
 * diffusers `DPMSolverMultistepScheduler.set_timesteps`.
 * @throws RangeError
 */
export function solverSchedule(
  config: SolverScheduleConfig,
  request: PlanRequest,
  alphasCumprod: Float32Array,
  name: string,
  rules: ScheduleRules = {},
): Schedule {
  assertOneRespacing(config)
  const configured: FinalLevel = (_last, trained) => (config.final_sigmas_type === 'zero' ? 0 : trained)
  const { finalLevel = configured, roundsCosine = false } = rules
  const training = trainingSigmas(alphasCumprod)
  const respaced = respacedLevels(config, request, training, roundsCosine)
  if (respaced !== null) {
    const final = finalLevel(respaced.sigmas.at(-1)!, training[0]!, true)
    return { sigmas: Float32Array.from([...respaced.sigmas, final]), timesteps: respaced.timesteps.map(Math.trunc) }
  }
  const timesteps =
    'timesteps' in request
      ? given(request.timesteps, config.num_train_timesteps)
      : spaced(config, request, alphasCumprod, name)
  const levels = timesteps.map((t) => interpolate(t, training))
  const sigmas = Float32Array.from([...levels, finalLevel(levels.at(-1)!, training[0]!, false)])
  if (sigmas.subarray(0, -1).some((sigma, i) => i > 0 && sigma === sigmas[i - 1])) {
    throw new RangeError(`the schedule of ${name} repeats a noise level; want fewer steps, or distinct timesteps.`)
  }
  return { sigmas, timesteps }
}

/** @throws RangeError for timesteps outside the training range; of a schedule's own, levels are those of its ends. */
function given(timesteps: readonly number[], numTrainTimesteps: number): readonly number[] {
  const integers = timesteps.map(Math.trunc)
  assertTrained(integers, numTrainTimesteps)
  return integers
}

function respacedLevels(
  config: SolverScheduleConfig,
  request: PlanRequest,
  training: Float32Array,
  roundsCosine: boolean,
): { readonly sigmas: readonly number[]; readonly timesteps: readonly number[] } | null {
  const isRespaced =
    config.use_karras_sigmas ||
    config.use_lu_lambdas === true ||
    config.use_exponential_sigmas ||
    config.use_beta_sigmas ||
    config.use_flow_sigmas
  if (!isRespaced) return null
  const train = config.num_train_timesteps
  const count = stepsOf(request, 'A schedule that is spaced by noise levels')
  const logSigmas = training.map(numpyLog)
  const range = { min: config.sigma_min ?? training[0]!, max: config.sigma_max ?? training.at(-1)! }
  // The order of precedence is diffusers': Karras, Lu, exponential, beta, flow.
  const usesLu = config.use_lu_lambdas === true && !config.use_karras_sigmas
  const sigmas = usesLu
    ? linspace(logSigmas.at(-1)!, logSigmas[0]!, count).map(Math.exp)
    : respacedSigmas(config, range, count)
  if (sigmas === null) {
    const shifted = flowSigmas(config, request, count)
    return { sigmas: shifted, timesteps: shifted.map((sigma) => sigma * train) }
  }
  const isCosine = config.beta_schedule === 'squaredcos_cap_v2'
  const isRounded = (usesLu || config.use_karras_sigmas) && (roundsCosine || !isCosine)
  const timesteps = sigmas.map((sigma) => sigmaToTimestep(sigma, logSigmas))
  return { sigmas, timesteps: isRounded ? timesteps.map(roundHalfEven) : timesteps }
}

/** Esser et al. 2024 (arXiv:2403.03206), eq. 23, over evenly spaced levels. */
function flowSigmas(config: SolverScheduleConfig, request: PlanRequest, count: number): number[] {
  const shift = flowShift(config, request)
  if (config.use_dynamic_shifting && config.time_shift_type === 'linear' && request.mu !== undefined) {
    throw new RangeError('time_shift_type linear shifts no levels of this class; set it to exponential.')
  }
  return linspace(1, 1 / config.num_train_timesteps, count + 1)
    .map((alpha) => (shift * (1 - alpha)) / (1 + (shift - 1) * (1 - alpha)))
    .slice(1)
    .toReversed()
}

/** The config's shift, or with dynamic shifting what the image's size asks for. */
export function flowShift(config: SolverScheduleConfig, { mu }: PlanRequest): number {
  if (!config.use_dynamic_shifting || mu === undefined) return config.flow_shift
  return config.time_shift_type === 'linear' ? mu : Math.exp(mu)
}

/** Unlike the older schedulers' spacings, these leave timestep 0 to the final sigma. */
function spaced(
  config: SolverScheduleConfig,
  request: PlanRequest,
  alphasCumprod: Float32Array,
  name: string,
): readonly number[] {
  const train = config.num_train_timesteps
  const steps = stepsOf(request, name)
  const last = train - clippedTimesteps(config.lambda_min_clipped, alphasCumprod)
  const spacings: Readonly<Record<TimestepSpacing, () => number[]>> = {
    linspace: () =>
      linspace(0, last - 1, steps + 1)
        .slice(1)
        .map(roundHalfEven)
        .toReversed(),
    leading: () => {
      const ratio = Math.floor(last / (steps + 1))
      return Array.from({ length: steps }, (_, i) => (steps - i) * ratio + (config.steps_offset ?? 0))
    },
    trailing: () => arangeDown(last, train / steps).map((t) => roundHalfEven(t) - 1),
  }
  return spacings[config.timestep_spacing ?? 'linspace']()
}

/** How many of the noisiest training timesteps have log(alpha / sigma) below the bound. */
export function clippedTimesteps(bound: number | '-inf' | null | undefined, alphasCumprod: Float32Array): number {
  if (typeof bound !== 'number') return 0
  const { fround, log, sqrt } = Math
  const lambda = (a: number): number => fround(fround(log(fround(sqrt(a)))) - fround(log(fround(sqrt(fround(1 - a))))))
  return alphasCumprod.filter((a) => lambda(a) < bound).length
}
