import { ONE_DRAW } from '../random/draw-noise.ts'
import { flagKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { flowKeys, flowSchedule } from './flow-match-sigmas.ts'
import type { FlowConfig } from './flow-match-sigmas.ts'
import { copyInput } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { axpy, weightedSum } from './vector-steps.ts'

export interface FlowMatchEulerConfig extends FlowConfig {
  stochastic_sampling: boolean
}

interface FlowPlan extends Plan {
  readonly config: FlowMatchEulerConfig
  readonly sigmas: Float32Array
}

const keys: ConfigKeys<FlowMatchEulerConfig> = { ...flowKeys, stochastic_sampling: flagKey(false) }

/**
 * Euler steps along the straight paths of a rectified flow, from noise to data.
 *
 * Lipman et al. 2022 (arXiv:2210.02747), Esser et al. 2024 (arXiv:2403.03206); diffusers
 * `scheduling_flow_match_euler_discrete.py`. The model predicts the velocity; timesteps are fractional.
 */
export const flowMatchEulerDiscrete: Scheduler<FlowMatchEulerConfig, FlowPlan, null> = {
  keys,
  about: {
    papers: ['2403.03206', '2210.02747'],
    source: 'scheduling_flow_match_euler_discrete.py',
    evaluations: '1',
    stochastic: 'when stochastic_sampling is true',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const schedule = flowSchedule(config, request, 'FlowMatchEulerDiscreteScheduler')
    return { ...schedule, initNoiseSigma: 1, order: 1, config }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: ({ config }) => (config.stochastic_sampling ? ONE_DRAW : null),

  step({ sigmas }, i, modelOutput, sample, _state, [noise], _options, out) {
    const { fround } = Math
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!]
    if (noise === undefined) {
      axpy(fround(next - sigma), modelOutput, sample, out)
      return null
    }
    axpy(-sigma, modelOutput, sample, out)
    weightedSum(fround(1 - next), out, next, noise, out)
    return null
  },

  addNoise({ sigmas }, i, original, noise, out) {
    const sigma = sigmas[i]!
    weightedSum(sigma, noise, Math.fround(1 - sigma), original, out)
  },
}
