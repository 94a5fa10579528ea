import { elementwise } from '../kernels/elementwise.ts'
import { rounded } from '../kernels/expression.ts'
import { adamsBashforth } from './adams-bashforth.ts'
import { linspaceF32 } from './betas.ts'
import { integerKey, nullableListKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { roundedSum } from './vector-steps.ts'

export interface IpndmConfig {
  num_train_timesteps: number
  trained_betas: readonly number[] | null
}

interface IpndmPlan extends Plan {
  /** Of each step and of the end: how much noise, and how much signal. */
  readonly betas: Float32Array
  readonly alphas: Float32Array
}

export interface IpndmState {
  /** Up to three past predictions, the newest last. */
  readonly ets: readonly Float32Array[]
}

const keys: ConfigKeys<IpndmConfig> = {
  num_train_timesteps: integerKey(1000, { min: 1, max: 1_000_000 }),
  trained_betas: nullableListKey(),
}

const { atan2, fround, sin, sqrt, PI } = Math

/**
 * Pseudo numerical methods of order four without Runge-Kutta steps at their start.
 *
 * Liu et al. 2022 (arXiv:2202.09778), by way of Katherine Crowson's v-diffusion; diffusers `scheduling_ipndm.py`. Timesteps go
 * from 1 to 0.
 */
export const ipndm: Scheduler<IpndmConfig, IpndmPlan, IpndmState> = {
  keys,
  about: {
    papers: ['2202.09778'],
    source: 'scheduling_ipndm.py',
    evaluations: '1',
    stochastic: 'never',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const steps = stepsOf(request, 'IPNDMScheduler')
    const ramp = Float32Array.of(...linspaceF32(1, 0, steps + 1).subarray(0, -1), 0)
    const betas =
      config.trained_betas === null
        ? ramp.map((t) => fround(sin(fround(fround(t * PI) / 2))) ** 2)
        : Float32Array.from(config.trained_betas)
    if (betas.length !== steps + 1) {
      throw new RangeError(`trained_betas has ${betas.length} entries; want one more than the ${steps} steps.`)
    }
    const alphas = betas.map((beta) => sqrt(fround(1 - fround(beta * beta))))
    const timesteps = Array.from(betas.subarray(0, -1), (beta, i) =>
      fround(fround(fround(atan2(beta, alphas[i]!)) / fround(PI)) * 2),
    )
    return { timesteps, sigmas: null, initNoiseSigma: 1, order: 1, betas, alphas }
  },

  initialState: () => ({ ets: [] }),
  scaleModelInput: copyInput,
  noiseOf: () => null,

  step({ betas, alphas }, i, modelOutput, sample, state, _noise, _options, out) {
    const slope = new Float32Array(out.length)
    roundedSum(betas[i]!, sample, alphas[i]!, modelOutput, slope)
    const ets = [...state.ets, slope].slice(-4)
    const levels = [betas[i]!, fround(Math.max(alphas[i]!, 1e-8)), alphas[i + 1]!, betas[i + 1]!]
    advance(levels, [sample, ...ets.toReversed()], out)
    return { ets: ets.slice(-3) }
  },

  addNoise: null,
}

/** From a level to the next along the combined slope, by way of the original sample: diffusers `_get_prev_sample`. */
const advance = elementwise(([beta, alpha, nextAlpha, nextBeta], [sample, ...ets]) => {
  const slope = adamsBashforth(ets)
  const original = rounded.div(rounded.sub(sample!, rounded.mul(beta!, slope)), alpha!)
  return rounded.add(rounded.mul(nextAlpha!, original), rounded.mul(slope, nextBeta!))
})
