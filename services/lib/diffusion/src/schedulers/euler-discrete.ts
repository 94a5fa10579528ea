import { ONE_DRAW } from '../random/draw-noise.ts'
import { betaKeys, choiceKey, flagKey, integerKey, nullableNumberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { churnOf, churned } from './churn.ts'
import { numpyLog } from './numpy-log.ts'
import type { Plan, PlanRequest, Scheduler } from './scheduler.ts'
import { initialSigma, predictFromSigma, scaleToUnit, sigmaLevels, trainingSigmasOf } from './sigma-space.ts'
import { assertOneRespacing, sigmaToTimestepF32 } from './sigmas.ts'
import type { RespacingConfig } from './sigmas.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { axpy, eulerStep } from './vector-steps.ts'

export interface EulerDiscreteConfig extends BetaConfig, RespacingConfig {
  prediction_type: 'epsilon' | 'sample' | 'original_sample' | 'v_prediction'
  interpolation_type: 'linear' | 'log_linear'
  sigma_min: number | null
  sigma_max: number | null
  timestep_spacing: TimestepSpacing
  timestep_type: 'discrete' | 'continuous'
  steps_offset: number
  rescale_betas_zero_snr: boolean
  final_sigmas_type: 'zero' | 'sigma_min'
}

interface EulerPlan extends Plan {
  readonly config: EulerDiscreteConfig
  readonly sigmas: Float32Array
}

const keys: ConfigKeys<EulerDiscreteConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'original_sample', 'v_prediction']),
  interpolation_type: choiceKey('linear', ['linear', 'log_linear']),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  sigma_min: nullableNumberKey(),
  sigma_max: nullableNumberKey(),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  timestep_type: choiceKey('discrete', ['discrete', 'continuous']),
  steps_offset: integerKey(0, { min: 0 }),
  rescale_betas_zero_snr: flagKey(false),
  final_sigmas_type: choiceKey('zero', ['zero', 'sigma_min']),
}

/**
 * Euler steps of the probability-flow ODE over discrete noise levels, with optional churn.
 *
 * Karras et al. 2022 (arXiv:2206.00364), algorithm 2; diffusers `scheduling_euler_discrete.py`. Timesteps of linspace
 * spacing are fractional.
 */
export const eulerDiscrete: Scheduler<EulerDiscreteConfig, EulerPlan, null> = {
  keys,
  about: {
    papers: ['2206.00364'],
    source: 'scheduling_euler_discrete.py',
    evaluations: '1',
    stochastic: 'when sChurn > 0',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    assertOneRespacing(config)
    const { sigmas, timesteps } = noiseLevels(config, request)
    return {
      timesteps: isContinuous(config)
        ? Array.from(sigmas.subarray(0, -1), (sigma) => Math.fround(0.25 * Math.log(sigma)))
        : timesteps.map(Math.fround),
      sigmas,
      initNoiseSigma: initialSigma(config, sigmas),
      order: 1,
      config,
    }
  },

  initialState: () => null,

  scaleModelInput: ({ sigmas }, i, sample, out) => scaleToUnit(sample, sigmas[i]!, out),

  noiseOf: (plan, i, options) => (churnOf(plan.sigmas, i, options) > 0 ? ONE_DRAW : null),

  step(plan, i, modelOutput, sample, _state, [noise], options, out) {
    const { fround } = Math
    const sigma = plan.sigmas[i]!
    const gamma = churnOf(plan.sigmas, i, options)
    const sigmaHat = fround(sigma * fround(gamma + 1))
    const dt = fround(plan.sigmas[i + 1]! - sigmaHat)
    // diffusers takes the raised level for epsilon alone.
    const level = plan.config.prediction_type === 'epsilon' ? sigmaHat : sigma
    const noisy = noise === undefined ? sample : churned(sample, noise, sigma, sigmaHat, options.sNoise ?? 1)
    predictFromSigma(plan.config.prediction_type, level, modelOutput, noisy, out)
    eulerStep(noisy, sigmaHat, dt, out)
    return null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}

function noiseLevels(
  config: EulerDiscreteConfig,
  request: PlanRequest,
): { sigmas: Float32Array; timesteps: readonly number[] } {
  if ('sigmas' in request) {
    const logSigmas = trainingSigmasOf(config).map(numpyLog)
    const sigmas = Float32Array.from(request.sigmas)
    return { sigmas, timesteps: Array.from(sigmas.subarray(0, -1), (sigma) => sigmaToTimestepF32(sigma, logSigmas)) }
  }
  if ('timesteps' in request && isContinuous(config)) {
    throw new RangeError('timesteps cannot be given to timestep_type continuous with v_prediction, which has its own.')
  }
  const traits = { name: 'EulerDiscreteScheduler', takesTimesteps: true }
  const { sigmas, timesteps, training } = sigmaLevels(config, request, traits)
  const final = config.final_sigmas_type === 'zero' ? 0 : training[0]!
  return { sigmas: Float32Array.of(...sigmas, final), timesteps }
}

/** Whether the model is told of log(sigma) / 4 instead of a timestep. */
function isContinuous({ timestep_type: type, prediction_type: prediction }: EulerDiscreteConfig): boolean {
  return type === 'continuous' && prediction === 'v_prediction'
}
