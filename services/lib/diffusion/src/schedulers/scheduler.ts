import type { ConfigKeys } from './config.ts'

/** What `plan` is asked for: a number of steps, or the schedule itself. */
export type PlanRequest =
  | { readonly numInferenceSteps: number }
  | { readonly timesteps: readonly number[] }
  | { readonly sigmas: readonly number[] }

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
  /** Euler (Karras et al. 2022, algorithm 2). */
  readonly sChurn?: number
  readonly sTmin?: number
  readonly sTmax?: number
  readonly sNoise?: number
}

/**
 * A scheduler is a value: what it knows is in the plan, what a solver remembers is in plain serialisable state, noise is
 * passed in. So a lane can stop after any step and go on elsewhere.
 * Samples are one image each: float32, flattened [channels, height, width]. Inputs are never written to; `out` may not be one of them.
 */
export interface Scheduler<C extends object, P extends Plan, S> {
  /** The class's config keys in snake_case, as scheduler_config.json has them, with diffusers' defaults. */
  readonly keys: ConfigKeys<C>
  readonly isStochastic: boolean
  plan(config: C, request: PlanRequest): P
  initialState(plan: P): S
  /** What the model sees of a sample before step i. */
  scaleModelInput(plan: P, i: number, sample: Float32Array, out: Float32Array): void
  /** Whether step i takes noise of the sample's shape. */
  drawsNoise(plan: P, i: number, options: StepOptions): boolean
  /** Computes x_{i+1} into `out` from the model's output for step i, and returns what the solver remembers from now on. */
  step(
    plan: P,
    i: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    state: S,
    noise: Float32Array | null,
    options: StepOptions,
    out: Float32Array,
  ): S
  /** The sample at the noise level of step i: where image-to-image starts. */
  addNoise(plan: P, i: number, original: Float32Array, noise: Float32Array, out: Float32Array): void
}

// oxlint-disable-next-line typescript/no-explicit-any -- plans, configs and states are each scheduler's own affair
export type AnyScheduler = Scheduler<any, any, any>

/** @throws RangeError */
export function stepsOf(request: PlanRequest, numTrainTimesteps: number, name: string): number {
  if (!('numInferenceSteps' in request))
    throw new RangeError(`${name} takes numInferenceSteps, no schedule of its own.`)
  const steps = request.numInferenceSteps
  if (!Number.isInteger(steps) || steps < 1 || steps > numTrainTimesteps) {
    throw new RangeError(
      `numInferenceSteps is ${steps}; want an integer from 1 to ${numTrainTimesteps} (num_train_timesteps).`,
    )
  }
  return steps
}

export function copyInput(_plan: Plan, _i: number, sample: Float32Array, out: Float32Array): void {
  out.set(sample)
}
