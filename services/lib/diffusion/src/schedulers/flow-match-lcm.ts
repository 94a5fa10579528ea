import { ONE_DRAW } from '../random/draw-noise.ts'
import { choiceKey, nullableListKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { flowKeys, flowSchedule } from './flow-match-sigmas.ts'
import type { FlowConfig } from './flow-match-sigmas.ts'
import { copyInput } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { axpy, weightedSum } from './vector-steps.ts'

type UpscaleMode = 'nearest' | 'linear' | 'bilinear' | 'bicubic' | 'trilinear' | 'area' | 'nearest-exact'

export interface FlowMatchLcmConfig extends FlowConfig {
  scale_factors: readonly number[] | null
  upscale_mode: UpscaleMode
}

interface FlowLcmPlan extends Plan {
  readonly sigmas: Float32Array
}

const keys: ConfigKeys<FlowMatchLcmConfig> = {
  ...flowKeys,
  scale_factors: nullableListKey(),
  upscale_mode: choiceKey<UpscaleMode>('bicubic', [
    'nearest',
    'linear',
    'bilinear',
    'bicubic',
    'trilinear',
    'area',
    'nearest-exact',
  ]),
}

/**
 * Multistep sampling of consistency models over a rectified flow: each step predicts the picture and noises it again.
 *
 * Starodubcev et al. 2025 (arXiv:2503.16397); diffusers `scheduling_flow_match_lcm.py`. scale_factors, which enlarge the
 * sample between steps, are refused: a sample keeps its size here.
 */
export const flowMatchLcm: Scheduler<FlowMatchLcmConfig, FlowLcmPlan, null> = {
  keys,
  about: {
    papers: ['2503.16397', '2310.04378'],
    source: 'scheduling_flow_match_lcm.py',
    evaluations: '1',
    stochastic: 'always',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    if (config.scale_factors !== null) {
      throw new RangeError('scale_factors would change the size of the sample between steps; set it to null.')
    }
    const schedule = flowSchedule(config, request, 'FlowMatchLCMScheduler')
    // The model is called with the timesteps that were given, not with those of the shifted levels.
    const timesteps =
      'timesteps' in request && !config.invert_sigmas ? request.timesteps.map(Math.fround) : schedule.timesteps
    return { timesteps, sigmas: schedule.sigmas, initNoiseSigma: 1, order: 1 }
  },

  initialState: () => null,
  scaleModelInput: copyInput,
  noiseOf: () => ONE_DRAW,

  step({ sigmas }, i, modelOutput, sample, _state, [noise], _options, out) {
    const next = sigmas[i + 1]!
    axpy(-sigmas[i]!, modelOutput, sample, out)
    weightedSum(Math.fround(1 - next), out, next, noise!, out)
    return null
  },

  addNoise({ sigmas }, i, original, noise, out) {
    const sigma = sigmas[i]!
    weightedSum(sigma, noise, Math.fround(1 - sigma), original, out)
  },
}
