import { ONE_DRAW } from '../random/draw-noise.ts'
import { integerKey, numberKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { churnOf, churned } from './churn.ts'
import { flowKeys, flowSchedule } from './flow-match-sigmas.ts'
import type { FlowConfig } from './flow-match-sigmas.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { derivative, interleaved } from './sigma-space.ts'
import { axpy, mean, roundedSum, weightedSum } from './vector-steps.ts'

export interface FlowMatchHeunConfig {
  num_train_timesteps: number
  shift: number
}

interface FlowHeunPlan extends Plan {
  readonly sigmas: Float32Array
}

/** Between the two calls of a step: where it began, the slope there, and the width. */
export type FlowHeunState = {
  readonly sample: Float32Array
  readonly derivative: Float32Array
  readonly dt: number
} | null

const keys: ConfigKeys<FlowMatchHeunConfig> = {
  num_train_timesteps: integerKey(1000, { min: 1, max: 1_000_000 }),
  shift: numberKey(1, { min: 0 }),
}

/**
 * Heun's method along the paths of a rectified flow, with optional churn.
 *
 * Karras et al. 2022 (arXiv:2206.00364), algorithm 2, over the flow of Esser et al. 2024 (arXiv:2403.03206); diffusers
 * `scheduling_flow_match_heun_discrete.py`.
 */
export const flowMatchHeunDiscrete: Scheduler<FlowMatchHeunConfig, FlowHeunPlan, FlowHeunState> = {
  keys,
  about: {
    papers: ['2403.03206', '2206.00364'],
    source: 'scheduling_flow_match_heun_discrete.py',
    evaluations: '2 (the last step 1)',
    stochastic: 'when sChurn > 0',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const name = 'FlowMatchHeunDiscreteScheduler'
    const defaults = Object.fromEntries(Object.entries(flowKeys).map(([key, { default: value }]) => [key, value]))
    const flow = { ...(defaults as unknown as FlowConfig), ...config }
    const numInferenceSteps = stepsOf(request, name)
    const { sigmas, timesteps } = flowSchedule(flow, { numInferenceSteps }, name)
    return {
      timesteps: interleaved(timesteps),
      sigmas: Float32Array.of(...interleaved([...sigmas.subarray(0, -1)]), 0),
      initNoiseSigma: 1,
      order: 2,
    }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: ({ sigmas }, i, options) => (churnOf(sigmas, i - (i % 2), options) > 0 ? ONE_DRAW : null),

  step({ sigmas }, i, modelOutput, sample, state, [noise], options, out) {
    const { fround } = Math
    const first = i - (i % 2)
    const [sigma, next] = [sigmas[first]!, sigmas[first + 1]!]
    const sigmaHat = fround(sigma * fround(churnOf(sigmas, first, options) + 1))
    const noisy = noise === undefined ? sample : churned(sample, noise, sigma, sigmaHat, options.sNoise ?? 1)
    const slope = new Float32Array(out.length)
    if (state === null) {
      roundedSum(-sigma, modelOutput, 1, noisy, out)
      derivative(noisy, out, sigmaHat, slope)
      const dt = fround(next - sigmaHat)
      axpy(dt, slope, noisy, out)
      return next === 0 ? null : { sample: noisy === sample ? sample.slice() : noisy, derivative: slope, dt }
    }
    roundedSum(-next, modelOutput, 1, noisy, out)
    derivative(noisy, out, next, slope)
    mean(state.derivative, slope, slope)
    axpy(state.dt, slope, state.sample, out)
    return null
  },

  addNoise({ sigmas }, i, original, noise, out) {
    const sigma = sigmas[i]!
    weightedSum(sigma, noise, Math.fround(1 - sigma), original, out)
  },
}
