import type { NoiseDemand } from '../random/draw-noise.ts'
import type { ConfigKeys } from './config.ts'

/** What `plan` is asked for, as diffusers' `set_timesteps`: a number of steps, or the schedule itself. */
export type PlanRequest = (
  | { readonly numInferenceSteps: number }
  | { readonly timesteps: readonly number[] }
  | { readonly sigmas: readonly number[] }
) &
  PlanOptions

/** Further arguments of `plan`; a scheduler takes what it knows. */
export interface PlanOptions {
  /** Of dynamic shifting: the exponent that the image's size asks for. */
  readonly mu?: number
  /** LCM and TCD: steps of the schedule that was distilled. Default: the config's. */
  readonly originalInferenceSteps?: number
  /** LCM and TCD: fraction of that schedule that is run. */
  readonly strength?: number
  /** RePaint: how far it goes back, and how often. */
  readonly jumpLength?: number
  readonly jumpNSample?: number
  /** ScoreSdeVe: the smallest timestep. */
  readonly samplingEps?: number
}

/** A schedule: derived from config and request, shared by any number of lanes, never changed. */
export interface Plan {
  /** Loop index → timestep that the model is called with. May be fractional (Euler with linspace spacing). */
  readonly timesteps: readonly number[]
  /** Noise levels, one more than timesteps; null for schedulers that work in alphas. */
  readonly sigmas: Float32Array | null
  /** Initial noise is multiplied by it. */
  readonly initNoiseSigma: number
  /** Model calls per user step. */
  readonly order: number
}

/** Further arguments of `step`; a scheduler takes what it knows, as diffusers' pipelines pass them by signature. */
export interface StepOptions {
  /** DDIM: 0 deterministic … 1 as DDPM. */
  readonly eta?: number
  /** DDIM. */
  readonly useClippedModelOutput?: boolean
  /** Euler and its relatives (Karras et al. 2022, algorithm 2). */
  readonly sChurn?: number
  readonly sTmin?: number
  readonly sTmax?: number
  readonly sNoise?: number
  /** LMS: most past derivatives that count, 4 by default. */
  readonly order?: number
  /** ScoreSdeVe: how many images one sample holds; as in diffusers their norms are averaged. 1 by default. */
  readonly imagesPerSample?: number
  /** RePaint: the picture that is kept where the mask is 1. */
  readonly originalImage?: Float32Array
  readonly maskImage?: Float32Array
}

/** What people ask of a scheduler before they choose it: the docs' table. */
export interface SchedulerFacts {
  /** arXiv ids. */
  readonly papers: readonly string[]
  /** Where a method that was never written up comes from. */
  readonly origin?: { readonly name: string; readonly url: string }
  /** diffusers' file. */
  readonly source: string
  /** Model calls per step of the user's. */
  readonly evaluations: string
  /** When it draws noise after the first: "never", "always" or the condition. */
  readonly stochastic: string
  /** Whether diffusers lists KarrasDiffusionSchedulers as compatible: their config keys are carried along without a word. */
  readonly takesKarrasConfigs: boolean
}

/**
 * A scheduler is a value: what it knows is in the plan, what a solver remembers is in plain serialisable state, noise is
 * passed in. So a lane can stop after any step and go on elsewhere.
 * Samples are one image each: float32, flattened [channels, height, width]. Inputs are never written to; `out` may not be one of them.
 */
export interface Scheduler<C extends object, P extends Plan, S> {
  /** The class's config keys in snake_case, as scheduler_config.json has them, with diffusers' defaults. */
  readonly keys: ConfigKeys<C>
  readonly about: SchedulerFacts
  plan(config: C, request: PlanRequest): P
  initialState(plan: P): S
  /** What the model sees of a sample before step i. */
  scaleModelInput(plan: P, i: number, sample: Float32Array, out: Float32Array): void
  /** The noise of the sample's shape that step i takes; null for none. */
  noiseOf(plan: P, i: number, options: StepOptions): NoiseDemand | null
  /**
   * Computes x_{i+1} into `out` from the model's output for step i, and returns what the solver remembers from now on.
   * @param noise the draws that `noiseOf` asks for, in order; the state may keep them, so that nobody may write to them later
   */
  step(
    plan: P,
    i: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    state: S,
    noise: readonly Float32Array[],
    options: StepOptions,
    out: Float32Array,
  ): S
  /** Writes the sample at the noise level of step i, where image-to-image starts; null where the class cannot start there. */
  readonly addNoise:
    | ((plan: P, i: number, original: Float32Array, noise: Float32Array, out: Float32Array) => void)
    | null
}

// oxlint-disable-next-line typescript/no-explicit-any -- plans, configs and states are each scheduler's own affair
export type AnyScheduler = Scheduler<any, any, any>

/** @throws RangeError */
export function stepsOf(request: PlanRequest, name: string): number {
  if (!('numInferenceSteps' in request))
    throw new RangeError(`${name} takes numInferenceSteps, no schedule of its own.`)
  const steps = request.numInferenceSteps
  if (!Number.isInteger(steps) || steps < 1) {
    throw new RangeError(`numInferenceSteps is ${steps}; want an integer from 1.`)
  }
  return steps
}

/** As `stepsOf`, for the classes whose steps are timesteps of the training: diffusers' refuse more of them, too. */
export function trainedStepsOf(request: PlanRequest, numTrainTimesteps: number, name: string): number {
  const steps = stepsOf(request, name)
  if (steps <= numTrainTimesteps) return steps
  throw new RangeError(
    `numInferenceSteps is ${steps}; want an integer from 1 to ${numTrainTimesteps} (num_train_timesteps).`,
  )
}

export function copyInput(_plan: Plan, _i: number, sample: Float32Array, out: Float32Array): void {
  out.set(sample)
}
