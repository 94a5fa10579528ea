import { ONE_DRAW } from '../random/draw-noise.ts'
import { betaKeys, choiceKey, flagKey, integerKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { initialSigma, scaleToUnit, sigmaLevels, slopeAt } from './sigma-space.ts'
import { TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { addScaled, axpy } from './vector-steps.ts'

export interface EulerAncestralConfig extends BetaConfig {
  prediction_type: 'epsilon' | 'v_prediction'
  timestep_spacing: TimestepSpacing
  steps_offset: number
  rescale_betas_zero_snr: boolean
}

interface EulerAncestralPlan extends Plan {
  readonly config: EulerAncestralConfig
  readonly sigmas: Float32Array
}

const keys: ConfigKeys<EulerAncestralConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  prediction_type: choiceKey('epsilon', ['epsilon', 'v_prediction']),
  timestep_spacing: choiceKey('linspace', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
  rescale_betas_zero_snr: flagKey(false),
}

/** How far a step goes down, and how much of that noise puts back up: k-diffusion `get_ancestral_step`. */
export function ancestralLevels(from: number, to: number): { readonly down: number; readonly up: number } {
  const { fround } = Math
  const [fromSquared, toSquared] = [fround(from * from), fround(to * to)]
  const up = torchSqrt(fround(fround(toSquared * fround(fromSquared - toSquared)) / fromSquared))
  // Rounding may leave less than nothing, of which diffusers takes the root: NaN.
  return { up, down: torchSqrt(Math.max(fround(toSquared - fround(up * up)), 0)) }
}

/**
 * Euler steps that go too far down and add noise back.
 *
 * Katherine Crowson's k-diffusion, after Song et al. 2020 (arXiv:2010.02502); diffusers
 * `scheduling_euler_ancestral_discrete.py`. Noise is drawn at every step, also the last, where none of it is left.
 */
export const eulerAncestralDiscrete: Scheduler<EulerAncestralConfig, EulerAncestralPlan, null> = {
  keys,
  about: {
    papers: ['2206.00364'],
    source: 'scheduling_euler_ancestral_discrete.py',
    evaluations: '1',
    stochastic: 'always',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const { sigmas: levels, timesteps } = sigmaLevels(config, request, { name: 'EulerAncestralDiscreteScheduler' })
    const sigmas = Float32Array.of(...levels, 0)
    return {
      timesteps,
      sigmas,
      initNoiseSigma: initialSigma(config, sigmas),
      order: 1,
      config,
    }
  },

  initialState: () => null,
  scaleModelInput: ({ sigmas }, i, sample, out) => scaleToUnit(sample, sigmas[i]!, out),
  noiseOf: () => ONE_DRAW,

  step({ config, sigmas }, i, modelOutput, sample, _state, [noise], _options, out) {
    const sigma = sigmas[i]!
    const { down, up } = ancestralLevels(sigma, sigmas[i + 1]!)
    slopeAt(config.prediction_type, sigma, modelOutput, sample, out)
    axpy(Math.fround(down - sigma), out, sample, out)
    addScaled(up, noise!, out)
    return null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}
