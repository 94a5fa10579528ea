import { schedulerFromConfig, TorchGenerator } from '@darkroom/diffusion'
import type { AnyScheduler, Plan, PlanRequest, StepOptions } from '@darkroom/diffusion'
import { encodeFloat32 } from './float32.ts'

export interface SchedulerCase {
  readonly name: string
  readonly scheduler: { readonly _class_name: string } & Readonly<Record<string, unknown>>
  readonly num_inference_steps: number
  readonly set_timesteps: { readonly timesteps?: readonly number[]; readonly sigmas?: readonly number[] }
  readonly seed: number
  readonly model: 'dummy' | 'wave' | 'affine'
  readonly shape: readonly number[]
  readonly start_step: number
  readonly step_kwargs?: Readonly<Record<string, number | boolean>>
  readonly clean?: 'deter'
}

export interface SchedulerTrace {
  readonly name: string
  readonly timesteps: readonly number[]
  readonly sigmas: readonly number[] | null
  readonly init_noise_sigma: number
  readonly order: number
  readonly samples_f32_base64: Readonly<Record<string, string>>
  readonly error: string | null
}

/** Runs each case's loop as diffusers' pipelines run it, every image of its batch as a lane of its own. */
export function runSchedulers(input: { cases: readonly SchedulerCase[] }): { cases: SchedulerTrace[] } {
  return { cases: input.cases.map(trace) }
}

function trace(golden: SchedulerCase): SchedulerTrace {
  const nothing = {
    name: golden.name,
    timesteps: [],
    sigmas: null,
    init_noise_sigma: 1,
    order: 1,
    samples_f32_base64: {},
  }
  try {
    const { scheduler, config } = schedulerFromConfig(golden.scheduler._class_name, golden.scheduler)
    const plan = scheduler.plan(config, planRequest(golden))
    const samples = runLoop(golden, scheduler, plan)
    return {
      name: golden.name,
      timesteps: plan.timesteps.slice(golden.start_step * plan.order),
      sigmas: plan.sigmas === null ? null : [...plan.sigmas],
      init_noise_sigma: plan.initNoiseSigma,
      order: plan.order,
      samples_f32_base64: Object.fromEntries([...samples].map(([i, sample]) => [String(i), encodeFloat32(sample)])),
      error: null,
    }
  } catch (reason) {
    return { ...nothing, error: String(reason) }
  }
}

function planRequest(golden: SchedulerCase): PlanRequest {
  const { timesteps, sigmas } = golden.set_timesteps
  if (timesteps !== undefined) return { timesteps }
  if (sigmas !== undefined) return { sigmas }
  return { numInferenceSteps: golden.num_inference_steps }
}

/** Samples by loop index, counted from where the loop starts. */
function runLoop(golden: SchedulerCase, scheduler: AnyScheduler, plan: Plan): Map<number, Float32Array> {
  const total = golden.shape.reduce((a, b) => a * b, 1)
  const batch = golden.shape[0]!
  const size = total / batch
  const generator = new TorchGenerator(golden.seed)
  const options = optionsOf(golden)
  const begin = golden.start_step * plan.order
  const noise = generator.randn(total)
  const clean = cleanSample(golden, total)
  const rows = Array.from({ length: batch }, (_, b) => {
    const own = noise.slice(b * size, (b + 1) * size)
    const sample = new Float32Array(size)
    if (golden.start_step > 0) scheduler.addNoise(plan, begin, clean.subarray(b * size, (b + 1) * size), own, sample)
    else sample.set(own.map((x) => x * plan.initNoiseSigma))
    return { sample, state: scheduler.initialState(plan) as unknown }
  })
  const trajectory = new Map<number, Float32Array>()
  for (let i = begin; i < plan.timesteps.length; i++) {
    const stepNoise = scheduler.drawsNoise(plan, i, options) ? generator.randn(total) : null
    for (const [b, row] of rows.entries()) {
      const input = new Float32Array(size)
      scheduler.scaleModelInput(plan, i, row.sample, input)
      const output = model(golden.model, input, plan.timesteps[i]!)
      const next = new Float32Array(size)
      row.state = scheduler.step(
        plan,
        i,
        output,
        row.sample,
        row.state,
        stepNoise?.slice(b * size, (b + 1) * size) ?? null,
        options,
        next,
      )
      row.sample = next
    }
    trajectory.set(i - begin, Float32Array.from(rows.flatMap(({ sample }) => [...sample])))
  }
  return trajectory
}

/** The goldens' models, float32 stage by stage as torch evaluates them. */
function model(kind: SchedulerCase['model'], x: Float32Array, timestep: number): Float32Array {
  const { fround } = Math
  const t = fround(timestep)
  switch (kind) {
    case 'dummy':
      return x.map((value) => fround(fround(value * t) / fround(t + 1)))
    case 'wave':
      return x.map((value) => fround(fround(0.5 * value) + fround(fround(0.1) * fround(Math.sin(fround(t / 100))))))
    case 'affine':
      return x.map((value) => fround(fround(fround(0.1) * value) + fround(fround(fround(0.05) * t) / 1000)))
  }
}

function cleanSample(golden: SchedulerCase, total: number): Float32Array {
  if (golden.clean === 'deter') {
    const [b, c, h, w] = golden.shape as [number, number, number, number]
    return Float32Array.from({ length: total }, (_, i) => {
      const image = Math.floor(i / (c * h * w))
      return ((i % (c * h * w)) * b + image) / total
    })
  }
  return Float32Array.from({ length: total }, (_, i) => -1 + (2 * i) / (total - 1))
}

function optionsOf(golden: SchedulerCase): StepOptions {
  const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return Object.fromEntries(Object.entries(golden.step_kwargs ?? {}).map(([key, value]) => [camel(key), value]))
}
