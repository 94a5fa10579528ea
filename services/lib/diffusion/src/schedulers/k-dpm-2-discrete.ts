import { betaKeys, choiceKey, flagKey, integerKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { initialSigma, interleaved, predictFromSigma, scaleToUnit, sigmaLevels } from './sigma-space.ts'
import { sigmaToTimestepF32 } from './sigmas.ts'
import type { RespacingConfig } from './sigmas.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { axpy, eulerStep, midpointStep } from './vector-steps.ts'

export interface KDpm2Config extends BetaConfig, RespacingConfig {
  prediction_type: 'epsilon' | 'v_prediction'
  timestep_spacing: TimestepSpacing
  steps_offset: number
}

export interface KDpm2Plan extends Plan {
  readonly config: KDpm2Config
  readonly sigmas: Float32Array
  /** For each step of the user's, the level between its ends where the second call is made. */
  readonly midpoints: Float32Array
}

/** Between the two calls of a step: where it began. */
export type KDpm2State = { readonly sample: Float32Array } | null

/** Keys of both classes. */
export const kDpm2Keys: ConfigKeys<KDpm2Config> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  beta_start: numberKey(0.00085, { min: 0, max: 1 }),
  beta_end: numberKey(0.012, { min: 0, max: 1 }),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  prediction_type: choiceKey('epsilon', ['epsilon', 'v_prediction']),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
}

const { exp, fround, log } = Math

/** The geometric mean of two levels, in float32 logarithms as torch's `lerp`; 0 where one of them is. */
export function meanLevel(a: number, b: number): number {
  const [from, to] = [fround(log(a)), fround(log(b))]
  return to === -Infinity || from === -Infinity ? 0 : fround(exp(fround(to - fround(fround(to - from) * 0.5))))
}

/** Timesteps [t_0, m_0, t_1, m_1, t_2, …] of levels and of the midpoints between them. */
export function timestepsWithMidpoints(
  timesteps: readonly number[],
  midpoints: ArrayLike<number>,
  logSigmas: Float32Array,
): number[] {
  return timesteps.flatMap((t, k) => (k === 0 ? [t] : [sigmaToTimestepF32(midpoints[k - 1]!, logSigmas), t]))
}

/**
 * The second-order method of DPM-Solver in sigmas: a half step to the midpoint, then the whole step with the slope found there.
 *
 * Karras et al. 2022 (arXiv:2206.00364), algorithm 2 with DPM-2 of Lu et al. 2022 (arXiv:2206.00927); diffusers
 * `scheduling_k_dpm_2_discrete.py`.
 */
export const kDpm2Discrete: Scheduler<KDpm2Config, KDpm2Plan, KDpm2State> = {
  keys: kDpm2Keys,
  about: {
    papers: ['2206.00364', '2206.00927'],
    source: 'scheduling_k_dpm_2_discrete.py',
    evaluations: '2 (the last step 1)',
    stochastic: 'never',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const traits = { name: 'KDPM2DiscreteScheduler', roundsKarras: true }
    const { sigmas: double, timesteps, logSigmas } = sigmaLevels(config, request, traits)
    const sigmas = Float32Array.from(double)
    const levels = [...sigmas, 0]
    const midpoints = Float32Array.from(sigmas, (sigma, k) => meanLevel(levels[k + 1]!, sigma))
    return {
      timesteps: timestepsWithMidpoints(timesteps, midpoints, logSigmas),
      sigmas: Float32Array.of(...interleaved(levels), 0),
      initNoiseSigma: initialSigma(config, sigmas),
      order: 2,
      config,
      midpoints,
    }
  },

  initialState: () => null,

  scaleModelInput({ sigmas, midpoints }, i, sample, out) {
    scaleToUnit(sample, i % 2 === 0 ? sigmas[i]! : midpoints[(i - 1) / 2]!, out)
  },

  noiseOf: () => null,

  step({ config, sigmas, midpoints }, i, modelOutput, sample, state, _noise, _options, out) {
    const k = Math.floor(i / 2)
    const [sigma, midpoint, next] = [sigmas[2 * k]!, midpoints[k]!, sigmas[2 * k + 1]!]
    if (state === null) {
      predictFromSigma(config.prediction_type, sigma, modelOutput, sample, out)
      eulerStep(sample, sigma, fround(midpoint - sigma), out)
      return next === 0 ? null : { sample: sample.slice() }
    }
    predictFromSigma(config.prediction_type, midpoint, modelOutput, sample, out)
    midpointStep(state.sample, sample, midpoint, fround(next - sigma), out)
    return null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}
