import { alphasCumprod } from './alphas.ts'
import { linspace, roundHalfEven } from './betas.ts'
import { dpmSolverMultistep, multistepPlan } from './dpm-solver-multistep.ts'
import type { MultistepConfig, MultistepPlan, MultistepState } from './dpm-solver-multistep.ts'
import { numpyLog } from './numpy-log.ts'
import { stepsOf } from './scheduler.ts'
import { assertDistinct } from './sigma-space.ts'
import type { PlanRequest, Scheduler } from './scheduler.ts'
import { assertOneRespacing, interpolate, respacedSigmas, sigmaToTimestep, trainingSigmas } from './sigmas.ts'
import { clippedTimesteps } from './solver-schedule.ts'
import { arangeDown } from './timesteps.ts'

type InverseConfig = Omit<
  MultistepConfig,
  'use_lu_lambdas' | 'final_sigmas_type' | 'rescale_betas_zero_snr' | 'use_dynamic_shifting' | 'time_shift_type'
>

const {
  use_lu_lambdas: _lu,
  final_sigmas_type: _final,
  rescale_betas_zero_snr: _snr,
  use_dynamic_shifting: _shifting,
  time_shift_type: _type,
  ...keys
} = dpmSolverMultistep.keys

/**
 * DPM-Solver++ backwards: from a picture to the noise that leads to it.
 *
 * Lu et al. 2022 (arXiv:2211.01095); diffusers `scheduling_dpmsolver_multistep_inverse.py`. Timesteps ascend.
 */
export const dpmSolverMultistepInverse: Scheduler<InverseConfig, MultistepPlan, MultistepState> = {
  ...dpmSolverMultistep,
  keys,
  about: {
    papers: ['2206.00927', '2211.01095'],
    source: 'scheduling_dpmsolver_multistep_inverse.py',
    evaluations: '1',
    stochastic: 'when algorithm_type is sde-dpmsolver or sde-dpmsolver++',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const rest = {
      use_lu_lambdas: false,
      final_sigmas_type: 'sigma_min',
      rescale_betas_zero_snr: false,
      use_dynamic_shifting: false,
      time_shift_type: 'exponential',
    } as const
    return multistepPlan({ ...config, ...rest }, ascendingSchedule(config, request))
  },
}

const NAME = 'DPMSolverMultistepInverseScheduler'

function ascendingSchedule(config: InverseConfig, request: PlanRequest) {
  assertOneRespacing(config)
  const train = config.num_train_timesteps
  const steps = stepsOf(request, NAME)
  const alphas = alphasCumprod(config)
  const training = trainingSigmas(alphas)
  const logSigmas = training.map(numpyLog)
  const respaced = respacedSigmas(config, { min: training.at(-1)!, max: training[0]! }, steps)
  if (respaced !== null || config.use_flow_sigmas) {
    const levels = respaced ?? flowLevels(config, steps)
    const timesteps = levels.map((sigma) => (respaced === null ? sigma * train : sigmaToTimestep(sigma, logSigmas)))
    // Repeated ones are left out before they are cut to integers, but after Karras' are rounded.
    const distinct = new Set(config.use_karras_sigmas ? timesteps.map(roundHalfEven) : timesteps)
    return { sigmas: Float32Array.of(...levels, levels.at(-1)!), timesteps: [...distinct].map(Math.trunc) }
  }
  const last = train - clippedTimesteps(config.lambda_min_clipped, alphas)
  const timesteps = spaced(config, steps, last)
  const levels = timesteps.map((t) => interpolate(t, training))
  const distinct = [...new Set(timesteps)]
  // Timesteps that repeat are left out, but not their levels.
  if (distinct.length > 1) assertDistinct(levels.slice(0, distinct.length), NAME)
  return { sigmas: Float32Array.of(...levels, training[last - 1]!), timesteps: distinct }
}

function flowLevels({ flow_shift: shift, num_train_timesteps: train }: InverseConfig, steps: number): number[] {
  return linspace(1, 1 / train, steps + 1)
    .map((alpha) => (shift * (1 - alpha)) / (1 + (shift - 1) * (1 - alpha)))
    .slice(1)
    .toReversed()
}

function spaced(config: InverseConfig, steps: number, last: number): number[] {
  switch (config.timestep_spacing) {
    case 'linspace':
      return linspace(0, last - 1, steps + 1)
        .slice(0, -1)
        .map(roundHalfEven)
    case 'leading': {
      const ratio = Math.floor(last / (steps + 1))
      return Array.from({ length: steps }, (_, i) => i * ratio + config.steps_offset)
    }
    case 'trailing':
      return arangeDown(last, config.num_train_timesteps / steps)
        .map((t) => roundHalfEven(t) - 1)
        .toReversed()
    default:
      return config.timestep_spacing satisfies never
  }
}
