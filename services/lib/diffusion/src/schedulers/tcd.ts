import { ONE_DRAW } from '../random/draw-noise.ts'
import { alphasCumprod, diffuse } from './alphas.ts'
import { consistencySchedule } from './consistency-schedule.ts'
import { consistencyKeys } from './lcm.ts'
import type { ConsistencyPlan, LcmConfig } from './lcm.ts'
import { predictNoise, predictOriginal } from './prediction.ts'
import { copyInput } from './scheduler.ts'
import type { Scheduler } from './scheduler.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { weightedSum } from './vector-steps.ts'

/** diffusers' default of `step`; its pipelines pass their own eta, 0 by default. */
const DEFAULT_ETA = 0.3

/**
 * Strategic stochastic sampling of trajectory consistency models: eta 0 deterministic, 1 as LCM.
 *
 * Zheng et al. 2024 (arXiv:2402.19159), algorithm 4, where eta is gamma; diffusers `scheduling_tcd.py`.
 */
export const tcd: Scheduler<LcmConfig, ConsistencyPlan, null> = {
  keys: consistencyKeys,
  about: {
    papers: ['2402.19159'],
    source: 'scheduling_tcd.py',
    evaluations: '1',
    stochastic: 'when eta > 0, but for the last step',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const train = config.num_train_timesteps
    const named = request.originalInferenceSteps
    const schedule = consistencySchedule(
      config,
      // There are no more steps to choose from than the training has.
      named === undefined ? request : { ...request, originalInferenceSteps: Math.min(named, train) },
      (original, strength) =>
        // Where the caller names the steps, every training timestep counts as distilled.
        named === undefined
          ? Array.from(
              { length: Math.trunc(original * strength) },
              (_, i) => (i + 1) * Math.floor(train / original) - 1,
            )
          : Array.from({ length: Math.trunc(train * strength) }, (_, i) => i),
      'TCDScheduler',
    )
    return { ...schedule, sigmas: null, initNoiseSigma: 1, order: 1, config, alphasCumprod: alphasCumprod(config) }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: ({ numInferenceSteps }, i, { eta = DEFAULT_ETA }) =>
    eta > 0 && i !== numInferenceSteps - 1 ? ONE_DRAW : null,

  step(plan, i, modelOutput, sample, _state, [noise], { eta = DEFAULT_ETA }, out) {
    const { fround } = Math
    const { config, timesteps, alphasCumprod: alphas } = plan
    const previous = timesteps[i + 1] ?? 0
    const alpha = alphas[timesteps[i]!]!
    const alphaPrevious = alphas[previous]!
    const alphaS = alphas[Math.floor(fround(fround(1 - eta) * previous))]!
    const [a, b] = [torchSqrt(alpha), torchSqrt(fround(1 - alpha))]
    const type = config.prediction_type
    predictOriginal(type, a, b, modelOutput, sample, out)
    const epsilon = type === 'epsilon' ? modelOutput : new Float32Array(out.length)
    if (type !== 'epsilon') predictNoise(type, a, b, modelOutput, sample, epsilon)
    weightedSum(torchSqrt(alphaS), out, torchSqrt(fround(1 - alphaS)), epsilon, out)
    if (noise === undefined) return null
    const ratio = fround(alphaPrevious / alphaS)
    weightedSum(torchSqrt(ratio), out, torchSqrt(fround(1 - ratio)), noise, out)
    return null
  },

  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod[plan.timesteps[i]!]!, original, noise, out)
  },
}
