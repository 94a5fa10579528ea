import { betaKeys, choiceKey, flagKey, integerKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertDistinct, derivative, initialSigma, predictFromSigma, scaleToUnit, sigmaLevels } from './sigma-space.ts'
import type { RespacingConfig } from './sigmas.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { addScaled, axpy } from './vector-steps.ts'

export interface LmsConfig extends BetaConfig, RespacingConfig {
  prediction_type: 'epsilon' | 'sample' | 'v_prediction'
  timestep_spacing: TimestepSpacing
  steps_offset: number
}

interface LmsPlan extends Plan {
  readonly config: LmsConfig
  readonly sigmas: Float32Array
}

/** Past slopes, the newest first. */
export interface LmsState {
  readonly derivatives: readonly Float32Array[]
}

const keys: ConfigKeys<LmsConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  prediction_type: choiceKey('epsilon', ['epsilon', 'sample', 'v_prediction']),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
}

const DEFAULT_ORDER = 4

/**
 * Linear multistep: the polynomial through past slopes, integrated over the step.
 *
 * Katherine Crowson's k-diffusion, `sample_lms`; diffusers `scheduling_lms_discrete.py`. As there, a loop that starts amid
 * the schedule weighs the slopes that it has as if the earlier ones were there.
 */
export const lmsDiscrete: Scheduler<LmsConfig, LmsPlan, LmsState> = {
  keys,
  about: {
    papers: [],
    source: 'scheduling_lms_discrete.py',
    evaluations: '1',
    stochastic: 'never',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const { sigmas: levels, timesteps } = sigmaLevels(config, request, { name: 'LMSDiscreteScheduler' })
    const sigmas = Float32Array.of(...levels, 0)
    assertDistinct(sigmas, 'LMSDiscreteScheduler')
    return {
      timesteps,
      sigmas,
      initNoiseSigma: initialSigma(config, sigmas),
      order: 1,
      config,
    }
  },

  initialState: () => ({ derivatives: [] }),
  scaleModelInput: ({ sigmas }, i, sample, out) => scaleToUnit(sample, sigmas[i]!, out),
  noiseOf: () => null,

  step({ config, sigmas }, i, modelOutput, sample, state, _noise, { order = DEFAULT_ORDER }, out) {
    const sigma = sigmas[i]!
    predictFromSigma(config.prediction_type, sigma, modelOutput, sample, out)
    const slope = new Float32Array(out.length)
    derivative(sample, out, sigma, slope)
    const derivatives = [slope, ...state.derivatives].slice(0, order)
    const weights = lagrangeWeights(sigmas, i, Math.min(i + 1, order))
    out.fill(0)
    for (const [k, one] of derivatives.entries()) addScaled(weights[k] ?? 0, one, out)
    axpy(1, out, sample, out)
    return { derivatives }
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}

/** Nodes and weights of Gauss and Legendre, exact up to degree five. */
const NODES = [-Math.sqrt(0.6), 0, Math.sqrt(0.6)]
const NODE_WEIGHTS = [5 / 9, 8 / 9, 5 / 9]

/** Integrals over step i of the polynomials that are 1 at one of the last `order` levels and 0 at the others. */
function lagrangeWeights(sigmas: Float32Array, i: number, order: number): readonly number[] {
  const [from, to] = [sigmas[i]!, sigmas[i + 1]!]
  const levels = Array.from({ length: order }, (_, k) => sigmas[i - k]!)
  return levels.map((own) => {
    const polynomial = (x: number): number =>
      levels.reduce((product, other) => (other === own ? product : (product * (x - other)) / (own - other)), 1)
    const sum = NODES.reduce(
      (total, node, k) => total + NODE_WEIGHTS[k]! * polynomial((from + to + node * (to - from)) / 2),
      0,
    )
    return Math.fround((sum * (to - from)) / 2)
  })
}
