import { elementwise } from '../kernels/elementwise.ts'
import { adamsBashforth } from './adams-bashforth.ts'
import { alphasCumprod, diffuse } from './alphas.ts'
import { betaKeys, choiceKey, flagKey, integerKey } from './config.ts'
import type { BetaConfig, ConfigKeys } from './config.ts'
import { predictNoise } from './prediction.ts'
import { copyInput, stepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { assertTrained, spacedTimesteps, TIMESTEP_SPACINGS } from './timesteps.ts'
import type { TimestepSpacing } from './timesteps.ts'
import { torchSqrt } from './torch-sqrt.ts'
import { addScaled, mean, quotientDifference } from './vector-steps.ts'

export interface PndmConfig extends BetaConfig {
  skip_prk_steps: boolean
  set_alpha_to_one: boolean
  prediction_type: 'epsilon' | 'v_prediction'
  timestep_spacing: TimestepSpacing
  steps_offset: number
}

interface PndmPlan extends Plan {
  readonly config: PndmConfig
  readonly alphasCumprod: Float32Array
  readonly stride: number
  /** The Runge-Kutta calls that come first; empty where they are skipped. */
  readonly prkTimesteps: readonly number[]
}

/** All plain: counts its own steps, since image-to-image starts amid the schedule with an empty history. */
export interface PndmState {
  readonly counter: number
  /** Up to four past model outputs, the newest last. */
  readonly ets: readonly Float32Array[]
  readonly currentSample: Float32Array | null
  /** Weighted sum over the four calls of a Runge-Kutta step. */
  readonly currentModelOutput: Float32Array | null
}

const keys: ConfigKeys<PndmConfig> = {
  ...betaKeys(['linear', 'scaled_linear', 'squaredcos_cap_v2']),
  skip_prk_steps: flagKey(false),
  set_alpha_to_one: flagKey(false),
  prediction_type: choiceKey('epsilon', ['epsilon', 'v_prediction']),
  timestep_spacing: choiceKey('leading', TIMESTEP_SPACINGS),
  steps_offset: integerKey(0, { min: 0 }),
}

/**
 * Pseudo numerical methods for diffusion models: linear multistep of order four, begun by Runge-Kutta steps or, when
 * `skip_prk_steps`, by one step done twice.
 *
 * Liu et al. 2022 (arXiv:2202.09778), eq. 9, 11, 12 and 13; diffusers `scheduling_pndm.py`.
 */
export const pndm: Scheduler<PndmConfig, PndmPlan, PndmState> = {
  keys,
  about: {
    papers: ['2202.09778'],
    source: 'scheduling_pndm.py',
    evaluations: '1 (one more for the first step; 4 for each of the first three without skip_prk_steps)',
    stochastic: 'never',
    takesKarrasConfigs: true,
  },

  plan(config, request) {
    const train = config.num_train_timesteps
    const numInferenceSteps = stepsOf(request, 'PNDMScheduler')
    const stride = Math.floor(train / numInferenceSteps)
    const ascending = spacedTimesteps({
      spacing: config.timestep_spacing,
      numTrainTimesteps: train,
      numInferenceSteps,
      stepsOffset: config.steps_offset,
      isRounded: true,
    }).toReversed()
    const prkTimesteps = config.skip_prk_steps ? [] : rungeKuttaTimesteps(ascending, stride)
    const plmsTimesteps = config.skip_prk_steps
      ? [...ascending.slice(0, -1), ...ascending.slice(-2, -1), ...ascending.slice(-1)].toReversed()
      : ascending.slice(0, -3).toReversed()
    const timesteps = [...prkTimesteps, ...plmsTimesteps]
    assertTrained(timesteps, train)
    return {
      timesteps,
      sigmas: null,
      initNoiseSigma: 1,
      order: 1,
      config,
      alphasCumprod: alphasCumprod(config),
      stride,
      prkTimesteps,
    }
  },

  initialState: () => ({ counter: 0, ets: [], currentSample: null, currentModelOutput: null }),
  scaleModelInput: copyInput,
  noiseOf: () => null,

  step(plan, i, modelOutput, sample, state, _noise, _options, out) {
    const t = plan.timesteps[i]!
    return state.counter < plan.prkTimesteps.length
      ? rungeKuttaStep(plan, t, modelOutput, sample, state, out)
      : multistep(plan, t, modelOutput, sample, state, out)
  },

  addNoise(plan, i, original, noise, out) {
    diffuse(plan.alphasCumprod.at(plan.timesteps[i]!)!, original, noise, out)
  },
}

/** Twelve calls over the first three intervals: both ends and twice the middle of each. */
function rungeKuttaTimesteps(ascending: readonly number[], stride: number): number[] {
  const halves = ascending.slice(-4).flatMap((t) => [t, t])
  const shifted = halves.map((t, i) => t + (i % 2) * Math.floor(stride / 2))
  return shifted
    .slice(0, -1)
    .flatMap((t) => [t, t])
    .slice(1, -1)
    .toReversed()
}

function rungeKuttaStep(
  plan: PndmPlan,
  t: number,
  modelOutput: Float32Array,
  sample: Float32Array,
  state: PndmState,
  out: Float32Array,
): PndmState {
  const { counter } = state
  const phase = counter % 4
  const previous = t - (counter % 2 === 1 ? 0 : Math.floor(plan.stride / 2))
  const from = plan.prkTimesteps[counter - phase]!
  const origin = phase === 0 ? sample : (state.currentSample ?? sample)
  const weight = Math.fround(phase === 0 || phase === 3 ? 1 / 6 : 1 / 3)
  const accumulated = state.currentModelOutput?.slice() ?? new Float32Array(out.length)
  addScaled(weight, modelOutput, accumulated)
  transfer(plan, from, previous, phase === 3 ? accumulated : modelOutput, origin, out)
  return {
    counter: counter + 1,
    ets: phase === 0 ? [...state.ets, modelOutput.slice()] : state.ets,
    currentSample: phase === 0 ? sample.slice() : state.currentSample,
    currentModelOutput: phase === 3 ? null : accumulated,
  }
}

function multistep(
  plan: PndmPlan,
  t: number,
  modelOutput: Float32Array,
  sample: Float32Array,
  state: PndmState,
  out: Float32Array,
): PndmState {
  const { counter } = state
  // The second call repeats the first interval with the mean of both outputs.
  const isRepeat = counter === 1
  const ets = isRepeat ? state.ets : [...state.ets.slice(-3), modelOutput.slice()]
  const from = isRepeat ? t + plan.stride : t
  const to = isRepeat ? t : t - plan.stride
  const combined = isRepeat ? meanOf(modelOutput, ets[0]!) : combineMultistep(ets)
  transfer(plan, from, to, combined, isRepeat && state.currentSample !== null ? state.currentSample : sample, out)
  return {
    counter: counter + 1,
    ets,
    currentSample: ets.length === 1 && counter === 0 ? sample.slice() : null,
    currentModelOutput: state.currentModelOutput,
  }
}

function meanOf(a: Float32Array, b: Float32Array): Float32Array {
  const out = new Float32Array(a.length)
  mean(a, b, out)
  return out
}

const slopeOf = elementwise((_, ets) => adamsBashforth(ets))

/** Over the outputs at hand. */
function combineMultistep(ets: readonly Float32Array[]): Float32Array {
  if (ets.length === 1) return ets[0]!
  const out = new Float32Array(ets[0]!.length)
  slopeOf([], ets.toReversed(), out)
  return out
}

/** Eq. 9: from one timestep to an earlier one along a predicted noise. */
function transfer(
  plan: PndmPlan,
  from: number,
  to: number,
  output: Float32Array,
  sample: Float32Array,
  out: Float32Array,
): void {
  const { fround } = Math
  const { alphasCumprod, config } = plan
  const alphaProd = alphasCumprod.at(from)!
  const alphaProdPrev = to >= 0 ? alphasCumprod[to]! : config.set_alpha_to_one ? 1 : alphasCumprod[0]!
  const betaProd = fround(1 - alphaProd)
  const betaProdPrev = fround(1 - alphaProdPrev)
  const a = torchSqrt(alphaProd)
  const b = torchSqrt(betaProd)
  const sampleCoefficient = torchSqrt(fround(alphaProdPrev / alphaProd))
  const denominator = fround(
    fround(alphaProd * torchSqrt(betaProdPrev)) + torchSqrt(fround(fround(alphaProd * betaProd) * alphaProdPrev)),
  )
  const difference = fround(alphaProdPrev - alphaProd)
  const epsilon = config.prediction_type === 'epsilon' ? output : new Float32Array(out.length)
  if (epsilon !== output) predictNoise(config.prediction_type, a, b, output, sample, epsilon)
  quotientDifference(sampleCoefficient, sample, difference, epsilon, denominator, out)
}
