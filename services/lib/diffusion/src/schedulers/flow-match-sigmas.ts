import { linspace } from './betas.ts'
import { flagKey, integerKey, nullableNumberKey, numberKey, timeShiftKey } from './config.ts'
import type { ConfigKeys, TimeShift } from './config.ts'
import { stepsOf } from './scheduler.ts'
import type { PlanRequest } from './scheduler.ts'
import { assertOneRespacing, respacedSigmas } from './sigmas.ts'
import type { RespacingConfig } from './sigmas.ts'

/** Keys of a flow's schedule, from noise (sigma 1) to data (sigma 0). */
export interface FlowConfig extends RespacingConfig {
  num_train_timesteps: number
  shift: number
  use_dynamic_shifting: boolean
  base_shift: number | null
  max_shift: number | null
  base_image_seq_len: number
  max_image_seq_len: number
  invert_sigmas: boolean
  shift_terminal: number | null
  time_shift_type: TimeShift
}

export const flowKeys: ConfigKeys<FlowConfig> = {
  num_train_timesteps: integerKey(1000, { min: 1, max: 1_000_000 }),
  shift: numberKey(1, { min: 0 }),
  use_dynamic_shifting: flagKey(false),
  base_shift: { ...nullableNumberKey(), default: 0.5 },
  max_shift: { ...nullableNumberKey(), default: 1.15 },
  base_image_seq_len: integerKey(256, { min: 1 }),
  max_image_seq_len: integerKey(4096, { min: 1 }),
  invert_sigmas: flagKey(false),
  shift_terminal: nullableNumberKey(),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  time_shift_type: timeShiftKey(),
}

export interface FlowSchedule {
  readonly sigmas: Float32Array
  readonly timesteps: readonly number[]
}

const { exp, fround } = Math

/**
 * Noise levels with the last one that the loop ends at, and timesteps, which are sigmas times num_train_timesteps.
 *
 * Esser et al. 2024 (arXiv:2403.03206), section 5.3.2; diffusers `FlowMatchEulerDiscreteScheduler.set_timesteps`. As there,
 * a schedule that is not given ends at the smallest training sigma after a shift, and is shifted once more.
 * @throws RangeError
 */
export function flowSchedule(config: FlowConfig, request: PlanRequest, name: string): FlowSchedule {
  assertOneRespacing(config)
  const train = config.num_train_timesteps
  const levels = shifted(config, request, givenLevels(config, request, name), name)
  const stretched = config.shift_terminal ? stretchedTo(config.shift_terminal, levels, precisionOf(request)) : levels
  const range = { min: stretched.at(-1)!, max: stretched[0]! }
  const respaced = respacedSigmas(config, range, stretched.length) ?? stretched
  if (!respaced.every(Number.isFinite)) {
    throw new RangeError(
      `${name} finds no noise levels with shift ${config.shift}; want a shift above 0, and no sigma of 0 among those that are given with use_exponential_sigmas.`,
    )
  }
  if (config.invert_sigmas) {
    const inverted = Float32Array.from(respaced, (sigma) => 1 - fround(sigma))
    return { sigmas: Float32Array.of(...inverted, 1), timesteps: Array.from(inverted, (s) => fround(s * train)) }
  }
  const sigmas = Float32Array.from(respaced)
  return { sigmas: Float32Array.of(...sigmas, 0), timesteps: Array.from(sigmas, (s) => fround(s * train)) }
}

/** Levels before any shift. */
function givenLevels(config: FlowConfig, request: PlanRequest, name: string): readonly number[] {
  const train = config.num_train_timesteps
  if ('sigmas' in request) return nonEmpty(request.sigmas, 'sigmas').map(fround)
  if ('timesteps' in request) return nonEmpty(request.timesteps, 'timesteps').map((t) => fround(fround(t) / train))
  const steps = stepsOf(request, name)
  return linspace(trainedSigma(config, train) * train, trainedSigma(config, 1) * train, steps).map((t) => t / train)
}

function nonEmpty(values: readonly number[], name: string): readonly number[] {
  if (values.length === 0) throw new RangeError(`${name} is empty; want at least one.`)
  return values
}

/** The level of a training timestep, in float32. */
function trainedSigma({ num_train_timesteps: train, use_dynamic_shifting: isDynamic, shift }: FlowConfig, t: number) {
  const sigma = fround(t / train)
  if (isDynamic) return sigma
  return fround(fround(shift * sigma) / fround(1 + fround((shift - 1) * sigma)))
}

function shifted(config: FlowConfig, request: PlanRequest, levels: readonly number[], name: string): readonly number[] {
  const { shift } = config
  const round = precisionOf(request)
  if (!config.use_dynamic_shifting) {
    return levels.map((sigma) => round(round(round(shift) * sigma) / round(1 + round(round(shift - 1) * sigma))))
  }
  if (request.mu === undefined) {
    throw new RangeError(`mu is missing; ${name} with use_dynamic_shifting wants it (or set that to false).`)
  }
  const weight = round(config.time_shift_type === 'exponential' ? exp(request.mu) : request.mu)
  return levels.map((sigma) => round(weight / round(weight + round(round(1 / sigma) - 1))))
}

/** How an operation on levels is rounded: those that are given are float32 arrays in numpy, and stay so. */
function precisionOf(request: PlanRequest): (x: number) => number {
  return 'numInferenceSteps' in request ? (x) => x : fround
}

/** Stretches the levels so that the last is `terminal`. */
function stretchedTo(terminal: number, levels: readonly number[], round: (x: number) => number): readonly number[] {
  if (!(terminal < 1) || levels.at(-1) === 1) {
    throw new RangeError(
      `shift_terminal is ${terminal} at ${levels.length} steps; want less than 1 and at least 2 steps, or null.`,
    )
  }
  const scale = round(round(1 - levels.at(-1)!) / round(1 - terminal))
  return levels.map((sigma) => round(1 - round(round(1 - sigma) / scale)))
}
