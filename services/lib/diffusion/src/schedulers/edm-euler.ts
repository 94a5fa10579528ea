import { ONE_DRAW } from '../random/draw-noise.ts'
import { linspace } from './betas.ts'
import { churned, churnOf } from './churn.ts'
import { edmKeys, edmSigmas, edmTimesteps, preconditionInput, preconditionOutput } from './edm-levels.ts'
import type { EdmConfig } from './edm-levels.ts'
import { stepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { axpy, eulerStep } from './vector-steps.ts'

interface EdmPlan extends Plan {
  readonly config: EdmConfig
  readonly sigmas: Float32Array
}

/**
 * Euler steps with churn for models that are preconditioned as in EDM.
 *
 * Karras et al. 2022 (arXiv:2206.00364), algorithm 2; diffusers `scheduling_edm_euler.py`. Given sigmas are positions of the
 * ramp from 0 to 1, as there.
 */
export const edmEuler: Scheduler<EdmConfig, EdmPlan, null> = {
  keys: edmKeys,
  about: {
    papers: ['2206.00364'],
    source: 'scheduling_edm_euler.py',
    evaluations: '1',
    stochastic: 'when sChurn > 0',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const ramp = 'sigmas' in request ? request.sigmas : linspace(0, 1, stepsOf(request, 'EDMEulerScheduler'))
    const sigmas = edmSigmas(config, ramp, true)
    const final = config.final_sigmas_type === 'zero' ? 0 : sigmas.at(-1)!
    return {
      timesteps: edmTimesteps(sigmas),
      sigmas: Float32Array.of(...sigmas, final),
      initNoiseSigma: Math.sqrt(config.sigma_max ** 2 + 1),
      order: 1,
      config,
    }
  },

  initialState: () => null,
  scaleModelInput: ({ config, sigmas }, i, sample, out) =>
    preconditionInput(sample, sigmas[i]!, config.sigma_data, out),
  noiseOf: ({ sigmas }, i, options) => (churnOf(sigmas, i, options) > 0 ? ONE_DRAW : null),

  step({ config, sigmas }, i, modelOutput, sample, _state, [noise], options, out) {
    const { fround } = Math
    const sigma = sigmas[i]!
    const sigmaHat = fround(sigma * fround(churnOf(sigmas, i, options) + 1))
    const noisy = noise === undefined ? sample : churned(sample, noise, sigma, sigmaHat, options.sNoise ?? 1)
    preconditionOutput(config, sigmaHat, modelOutput, noisy, out)
    eulerStep(noisy, sigmaHat, fround(sigmas[i + 1]! - sigmaHat), out)
    return null
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}
