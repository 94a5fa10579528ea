import { drawNoise } from '@darkroom/diffusion'
import type { AnyScheduler, Plan, StepOptions, TorchGenerator } from '@darkroom/diffusion'

export interface BatchLoop {
  readonly scheduler: AnyScheduler
  readonly plan: Plan
  /** Index of the schedule where the loop starts. */
  readonly begin: number
  /** Images of `samples`. */
  readonly batch: number
  /** [batch, …] flattened, at the noise level of `begin`. */
  readonly samples: Float32Array
  readonly model: (input: Float32Array, timestep: number) => Float32Array
  /** Draws each step's noise for the batch at once, as one torch generator does. */
  readonly generator: TorchGenerator
  /** That generator's. */
  readonly seed: number
  readonly options: StepOptions
  /** What the model sees: the scaled sample, as in pipelines; the same for the step too, or the plain one, as in some tests of diffusers. */
  readonly scaling: 'model_only' | 'rebind' | 'none'
  /** What solvers remember from a loop before. */
  readonly states?: unknown[]
}

/** Runs the loop with every image as a lane of its own and yields the batch after each step. */
export function* denoiseBatch(loop: BatchLoop): Generator<Float32Array, void> {
  const { scheduler, plan, batch, generator, seed, options } = loop
  const total = loop.samples.length
  const size = total / batch
  const slice = (values: Float32Array, b: number): Float32Array => values.slice(b * size, (b + 1) * size)
  const rows = Array.from({ length: batch }, (_, b) => ({
    sample: slice(loop.samples, b),
    state: loop.states?.[b] ?? (scheduler.initialState(plan) as unknown),
  }))
  for (let i = loop.begin; i < plan.timesteps.length; i++) {
    const noise = drawNoise(scheduler.noiseOf(plan, i, options), total, generator, seed)
    for (const [b, row] of rows.entries()) {
      const input = new Float32Array(size)
      if (loop.scaling === 'none') input.set(row.sample)
      else scheduler.scaleModelInput(plan, i, row.sample, input)
      const output = loop.model(input, plan.timesteps[i]!)
      const from = loop.scaling === 'rebind' ? input : row.sample
      const next = new Float32Array(size)
      const rowNoise = noise.map((draw) => slice(draw, b))
      row.state = scheduler.step(plan, i, output, from, row.state, rowNoise, options, next)
      row.sample = next
    }
    if (loop.states !== undefined) rows.forEach(({ state }, b) => (loop.states![b] = state))
    yield Float32Array.from(rows.flatMap(({ sample }) => [...sample]))
  }
}

/** Original samples raised to the noise level of step i, image by image. */
export function addNoiseToBatch(
  { scheduler, plan, batch }: Pick<BatchLoop, 'scheduler' | 'plan' | 'batch'>,
  i: number,
  original: Float32Array,
  noise: Float32Array,
): Float32Array {
  if (scheduler.addNoise === null) throw new RangeError('the scheduler cannot start amid its schedule.')
  const size = original.length / batch
  const out = new Float32Array(original.length)
  for (let b = 0; b < batch; b++) {
    const range = [b * size, (b + 1) * size] as const
    scheduler.addNoise(plan, i, original.subarray(...range), noise.subarray(...range), out.subarray(...range))
  }
  return out
}

/** diffusers' `dummy_sample_deter`: [batch, channels, height, width] counted with the batch innermost, over the total. */
export function dummySampleDeter(shape: readonly number[]): Float32Array {
  const batch = shape[0]!
  const total = shape.reduce((a, b) => a * b, 1)
  const size = total / batch
  return Float32Array.from({ length: total }, (_, i) => ((i % size) * batch + Math.floor(i / size)) / total)
}

/** diffusers' `dummy_noise_deter`: the same, counted down. */
export function dummyNoiseDeter(shape: readonly number[]): Float32Array {
  const batch = shape[0]!
  const total = shape.reduce((a, b) => a * b, 1)
  const size = total / batch
  return Float32Array.from(
    { length: total },
    (_, i) => (total - 1 - ((i % size) * batch + Math.floor(i / size))) / total,
  )
}

/** diffusers' `dummy_model`, float32 stage by stage. */
export function dummyModel(x: Float32Array, timestep: number): Float32Array {
  const { fround } = Math
  const t = fround(timestep)
  const divisor = fround(t + 1)
  return x.map((value) => fround(value * t) / divisor)
}

/** Options of a step from diffusers' names. */
export function stepOptions(kwargs: Readonly<Record<string, number | boolean>> = {}): StepOptions {
  return camelKeys(kwargs)
}

/** num_inference_steps → numInferenceSteps */
export function camelKeys(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [camel(key), value]))
}
