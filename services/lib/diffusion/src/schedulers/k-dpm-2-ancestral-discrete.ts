import { ONE_DRAW } from '../random/draw-noise.ts'
import { ancestralLevels } from './euler-ancestral-discrete.ts'
import { kDpm2Keys, meanLevel, timestepsWithMidpoints } from './k-dpm-2-discrete.ts'
import type { KDpm2Config, KDpm2Plan, KDpm2State } from './k-dpm-2-discrete.ts'
import type { Scheduler } from './scheduler.ts'
import { initialSigma, interleaved, predictFromSigma, scaleToUnit, sigmaLevels } from './sigma-space.ts'
import { addScaled, axpy, eulerStep, midpointStep } from './vector-steps.ts'

/**
 * KDPM2 with steps that go too far down and add noise back, in their second call.
 *
 * Karras et al. 2022 (arXiv:2206.00364); diffusers `scheduling_k_dpm_2_ancestral_discrete.py`.
 */
export const kDpm2AncestralDiscrete: Scheduler<KDpm2Config, KDpm2Plan, KDpm2State> = {
  keys: kDpm2Keys,
  about: {
    papers: ['2206.00364', '2206.00927'],
    source: 'scheduling_k_dpm_2_ancestral_discrete.py',
    evaluations: '2 (the last step 1)',
    stochastic: 'always',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const traits = { name: 'KDPM2AncestralDiscreteScheduler', roundsKarras: true }
    const { sigmas: double, timesteps, logSigmas } = sigmaLevels(config, request, traits)
    const sigmas = Float32Array.from(double)
    const levels = [...sigmas, 0]
    const midpoints = Float32Array.from(sigmas, (sigma, k) => {
      const next = levels[k + 1]!
      // From the largest levels float32 leaves nothing below 0 to go down to, and diffusers puts out NaN.
      return next === 0 ? 0 : meanLevel(sigma, ancestralLevels(sigma, next).down || next)
    })
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

  noiseOf: (_plan, i) => (i % 2 === 1 ? ONE_DRAW : null),

  step({ config, sigmas, midpoints }, i, modelOutput, sample, state, [noise], _options, out) {
    const { fround } = Math
    const k = Math.floor(i / 2)
    const [sigma, midpoint, next] = [sigmas[2 * k]!, midpoints[k]!, sigmas[2 * k + 1]!]
    if (state === null) {
      predictFromSigma(config.prediction_type, sigma, modelOutput, sample, out)
      eulerStep(sample, sigma, fround(midpoint - sigma), out)
      return next === 0 ? null : { sample: sample.slice() }
    }
    const { down, up } = ancestralLevels(sigma, next)
    predictFromSigma(config.prediction_type, midpoint, modelOutput, sample, out)
    midpointStep(state.sample, sample, midpoint, fround(down - sigma), out)
    addScaled(up, noise!, out)
    return null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}
