import { betaKeys, choiceKey, flagKey, integerKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertDistinct, initialSigma, scaleToUnit, sigmaLevels, slopeAt } from './sigma-space.ts'
import type { RespacingConfig } from './sigmas.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { axpy, stepAlong } from './vector-steps.ts'

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
    origin: {
      name: "k-diffusion's `sample_lms`",
      url: 'https://github.com/crowsonkb/k-diffusion/blob/master/k_diffusion/sampling.py',
    },
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
    if (!Number.isInteger(order) || order < 1) throw new RangeError(`order is ${order}; want a positive integer.`)
    const sigma = sigmas[i]!
    const slope = new Float32Array(out.length)
    slopeAt(config.prediction_type, sigma, modelOutput, sample, slope)
    const derivatives = [slope, ...state.derivatives].slice(0, order)
    const weights = lagrangeWeights(sigmas, i, Math.min(i + 1, order))
    // A loop that starts amid its schedule has fewer slopes than weights at first, as diffusers' zip does.
    const count = Math.min(weights.length, derivatives.length)
    stepAlong(sample, weights.slice(0, count), derivatives.slice(0, count), out)
    return { derivatives }
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}

/** Abscissae above 0 and weights of the 21-point Kronrod rule, Gauss's first, as QUADPACK `qk21` adds them up. */
const KRONROD: readonly (readonly [abscissa: number, weight: number])[] = [
  [0.9739065285171717, 0.032558162307964725],
  [0.8650633666889845, 0.07503967481091996],
  [0.6794095682990244, 0.10938715880229764],
  [0.4333953941292472, 0.13470921731147334],
  [0.14887433898163122, 0.14773910490133849],
  [0.9956571630258081, 0.011694638867371874],
  [0.9301574913557082, 0.054755896574351995],
  [0.7808177265864169, 0.0931254545836976],
  [0.5627571346686047, 0.12349197626206584],
  [0.2943928627014602, 0.14277593857706009],
]
const MIDDLE_WEIGHT = 0.1494455540029169

/**
 * Integrals over step i of the polynomials that are 1 at one of the last `order` levels and 0 at the others. The quadrature
 * is scipy's and the integrand in float32, as in diffusers: near the end the last bits of the weights are what is left of a sum.
 */
function lagrangeWeights(sigmas: Float32Array, i: number, order: number): readonly number[] {
  const { fround } = Math
  const [from, to] = [sigmas[i]!, sigmas[i + 1]!]
  const [centre, half] = [0.5 * (from + to), 0.5 * (to - from)]
  const levels = Array.from({ length: order }, (_, k) => sigmas[i - k]!)
  return levels.map((own) => {
    const others = levels.filter((level) => level !== own)
    const polynomial = (x: number): number => {
      const tau = fround(x)
      return others.reduce((product, other) => fround(product * fround(fround(tau - other) / fround(own - other))), 1)
    }
    let sum = MIDDLE_WEIGHT * polynomial(centre)
    for (const [abscissa, weight] of KRONROD) {
      sum += weight * (polynomial(centre - half * abscissa) + polynomial(centre + half * abscissa))
    }
    return fround(sum * half)
  })
}
