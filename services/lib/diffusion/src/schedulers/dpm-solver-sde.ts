import type { NoiseDemand } from '../random/draw-noise.ts'
import { betaKeys, choiceKey, flagKey, integerKey, nullableIntegerKey, numberKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { ancestralLevels } from './euler-ancestral-discrete.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertDistinct, initialSigma, interleaved, predictFromSigma, scaleToUnit, sigmaLevels } from './sigma-space.ts'
import { sigmaToTimestep } from './sigmas.ts'
import type { RespacingConfig } from './sigmas.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { addQuotient, axpy, eulerStep, weightedSum } from './vector-steps.ts'

export interface DpmSolverSdeConfig extends BetaConfig, RespacingConfig {
  prediction_type: 'epsilon' | 'v_prediction'
  /** Of the Brownian path; null for the image's own seed, where diffusers would draw one. */
  noise_sampler_seed: number | null
  timestep_spacing: TimestepSpacing
  steps_offset: number
}

/** What one of the two calls of a step integrates over. */
interface SdeLevels {
  /** Noise level of the call's sample. */
  readonly input: number
  /** Both calls start from the step's first level; the first ends halfway. */
  readonly from: number
  readonly to: number
  /** The increment of the Brownian path is divided by it, and the noise that this leaves multiplied by `up`. */
  readonly spread: number
  readonly up: number
  /** The step's first sample is weighed by it, and x_0 by `original`. */
  readonly sample: number
  readonly original: number
}

interface SdePlan extends Plan {
  readonly config: DpmSolverSdeConfig
  readonly sigmas: Float32Array
  /** Of each call but the last. */
  readonly levels: readonly SdeLevels[]
  readonly range: readonly [number, number]
}

/** Between the two calls of a step: where it began. */
type SdeState = { readonly sample: Float32Array } | null

const keys: ConfigKeys<DpmSolverSdeConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  beta_start: numberKey(0.00085, { min: 0, max: 1 }),
  beta_end: numberKey(0.012, { min: 0, max: 1 }),
  prediction_type: choiceKey('epsilon', ['epsilon', 'v_prediction']),
  use_karras_sigmas: flagKey(false),
  use_exponential_sigmas: flagKey(false),
  use_beta_sigmas: flagKey(false),
  noise_sampler_seed: nullableIntegerKey({ min: 0 }),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
}

const { exp, expm1, fround, log } = Math

/**
 * Time of a noise level, and back, in float32. torch's logarithm and exponential round the last bit by the processor's make:
 * where they do not round as here, an increment ends a millionth elsewhere, and its noise differs by up to some 10^-3, as
 * diffusers differs from itself on another processor (test/golden/README.md).
 */
const timeOf = (sigma: number): number => -fround(log(sigma))
const levelOf = (time: number): number => fround(exp(-time))

/**
 * The stochastic second-order DPM-Solver++: a half step, then the whole step with the slope found there, each with its own
 * part of one Brownian path.
 *
 * Katherine Crowson's k-diffusion, `sample_dpmpp_sde`, after Lu et al. 2022 (arXiv:2211.01095); diffusers
 * `scheduling_dpmsolver_sde.py`.
 */
export const dpmSolverSde: Scheduler<DpmSolverSdeConfig, SdePlan, SdeState> = {
  keys,
  about: {
    papers: ['2206.00364', '2211.01095'],
    source: 'scheduling_dpmsolver_sde.py',
    evaluations: '2 (the last step 1)',
    stochastic: 'always, but for the last step',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const name = 'DPMSolverSDEScheduler'
    const { sigmas: double, timesteps, logSigmas } = sigmaLevels(config, request, { name, isDouble: true })
    const sigmas = Float32Array.from(double)
    assertDistinct(sigmas, name)
    const midTimestep = (k: number): number => {
      const [from, to] = [-log(double[k - 1]!), -log(double[k]!)]
      return sigmaToTimestep(exp(-(from + (to - from) * 0.5)), logSigmas)
    }
    return {
      timesteps: timesteps.flatMap((t, k) => (k === 0 ? [t] : [midTimestep(k), t])),
      sigmas: Float32Array.of(...interleaved([...sigmas]), 0),
      initNoiseSigma: initialSigma(config, sigmas),
      order: 2,
      config,
      levels: [...sigmas.subarray(1)].flatMap((next, k) => levelsOf(sigmas[k]!, next)),
      range: [sigmas.reduce((a, b) => Math.min(a, b)), sigmas.reduce((a, b) => Math.max(a, b))],
    }
  },

  initialState: () => null,

  scaleModelInput({ sigmas, levels }, i, sample, out) {
    scaleToUnit(sample, levels[i]?.input ?? sigmas[i]!, out)
  },

  noiseOf({ levels, range, config: { noise_sampler_seed: seed } }, i): NoiseDemand | null {
    const level = levels[i]
    return level === undefined ? null : { brownian: { range, from: level.from, to: level.to, seed } }
  },

  step({ config, sigmas, levels }, i, modelOutput, sample, state, [noise], { sNoise = 1 }, out) {
    const level = levels[i]
    if (level === undefined) {
      const sigma = sigmas[i]!
      predictFromSigma(config.prediction_type, sigma, modelOutput, sample, out)
      eulerStep(sample, sigma, -sigma, out)
      return null
    }
    const start = state?.sample ?? sample
    predictFromSigma(config.prediction_type, level.input, modelOutput, sample, out)
    weightedSum(level.sample, start, level.original, out, out)
    addQuotient(noise!, level.spread, fround(sNoise), level.up, out)
    return state === null ? { sample: sample.slice() } : null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}

/** Both calls of the step from one level to the next, which is not 0; each operation rounded to float32. */
function levelsOf(sigma: number, next: number): SdeLevels[] {
  const time = timeOf(sigma)
  const end = timeOf(next)
  const halfway = fround(time + fround(fround(end - time) * 0.5))
  const from = levelOf(time)
  return [
    { input: sigma, stop: halfway },
    { input: levelOf(halfway), stop: end },
  ].map(({ input, stop }) => {
    const to = levelOf(stop)
    const { up, down } = ancestralLevels(from, to)
    const target = timeOf(down)
    return {
      input,
      from,
      to,
      spread: torchSqrt(Math.abs(fround(to - from))),
      up: Math.min(up, to),
      sample: fround(levelOf(target) / from),
      original: -fround(expm1(fround(time - target))),
    }
  })
}
