import { ONE_DRAW } from '../random/draw-noise.ts'
import { linspaceF32 } from './betas.ts'
import { integerKey, numberKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { axpy, combine } from './vector-steps.ts'

export interface ScoreSdeVeConfig {
  num_train_timesteps: number
  snr: number
  sigma_min: number
  sigma_max: number
  sampling_eps: number
  correct_steps: number
}

interface ScoreSdeVePlan extends Plan {
  readonly config: ScoreSdeVeConfig
  readonly sigmas: Float32Array
  /** Of each step of the user's: how much variance its predictor takes away. */
  readonly diffusions: Float32Array
}

const keys: ConfigKeys<ScoreSdeVeConfig> = {
  num_train_timesteps: integerKey(2000, { min: 1, max: 1_000_000 }),
  snr: numberKey(0.15, { min: 0 }),
  sigma_min: numberKey(0.01, { min: 0 }),
  sigma_max: numberKey(1348, { min: 0 }),
  sampling_eps: numberKey(1e-5, { min: 0, max: 1 }),
  correct_steps: integerKey(1, { min: 0 }),
}

const { exp, fround, log, sqrt, trunc } = Math

/**
 * Predictor and corrector of the variance-exploding SDE: Langevin steps at a noise level, then one step down. The model is
 * told the level itself.
 *
 * Song et al. 2020 (arXiv:2011.13456), algorithm 4; diffusers `scheduling_sde_ve.py`. The last picture still has the noise of
 * its level, as the step's sample there.
 */
export const scoreSdeVe: Scheduler<ScoreSdeVeConfig, ScoreSdeVePlan, null> = {
  keys,
  about: {
    papers: ['2011.13456'],
    source: 'scheduling_sde_ve.py',
    evaluations: '1 + correct_steps',
    stochastic: 'always',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const steps = stepsOf(request, 'ScoreSdeVeScheduler')
    const { sigma_min: min, sigma_max: max } = config
    const times = linspaceF32(1, request.samplingEps ?? config.sampling_eps, steps)
    const sigmas = times.map((t) => fround(min * fround((max / min) ** t)))
    const levels = linspaceF32(log(min), log(max), steps).map(exp)
    const diffusions = times.map((t) => {
      const k = trunc(fround(t * (steps - 1)))
      const below = k === 0 ? 0 : levels[k - 1]!
      return torchSqrt(fround(fround(levels[k]! ** 2) - fround(below * below)))
    })
    const order = config.correct_steps + 1
    return {
      timesteps: Array.from(sigmas).flatMap((sigma) => Array<number>(order).fill(sigma)),
      sigmas,
      initNoiseSigma: max,
      order,
      config,
      diffusions,
    }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: () => ONE_DRAW,

  step({ config, order, diffusions }, i, modelOutput, sample, _state, [noise], { imagesPerSample = 1 }, out) {
    if (i % order < order - 1) {
      const size = fround(
        fround(fround(config.snr * meanNorm(noise!, imagesPerSample)) / meanNorm(modelOutput, imagesPerSample)) ** 2 *
          2,
      )
      combine([1, size, torchSqrt(fround(size * 2))], [sample, modelOutput, noise!], out)
      return null
    }
    const diffusion = diffusions[Math.floor(i / order)]!
    combine([1, fround(diffusion * diffusion), diffusion], [sample, modelOutput, noise!], out)
    return null
  },

  addNoise({ sigmas, order }, i, original, noise, out) {
    axpy(sigmas[Math.floor(i / order)]!, noise, original, out)
  },
}

function meanNorm(values: Float32Array, images: number): number {
  const size = values.length / images
  let total = 0
  for (let first = 0; first < values.length; first += size) {
    let squares = 0
    for (let j = first; j < first + size; j++) squares += values[j]! * values[j]!
    total += sqrt(squares)
  }
  return fround(total / images)
}
