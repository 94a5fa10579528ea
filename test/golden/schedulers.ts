import { schedulerFromConfig, TorchGenerator } from '@darkroom/diffusion'
import type { AnyScheduler, Plan, PlanRequest } from '@darkroom/diffusion'
import { addNoiseToBatch, camelKeys, denoiseBatch, dummyModel, dummySampleDeter, stepOptions } from './denoise-batch.ts'
import { encodeFloat32 } from './float32.ts'

export interface SchedulerCase {
  readonly name: string
  readonly scheduler: { readonly _class_name: string } & Readonly<Record<string, unknown>>
  readonly num_inference_steps: number
  /** Arguments by diffusers' names; num_inference_steps goes with them unless they are a schedule. */
  readonly set_timesteps: Readonly<Record<string, unknown>>
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

function planRequest({ set_timesteps: given, num_inference_steps: steps }: SchedulerCase): PlanRequest {
  const isSchedule = 'timesteps' in given || 'sigmas' in given
  return camelKeys({ ...(!isSchedule && { num_inference_steps: steps }), ...given }) as unknown as PlanRequest
}

/** Samples by loop index, counted from where the loop starts. */
function runLoop(golden: SchedulerCase, scheduler: AnyScheduler, plan: Plan): Map<number, Float32Array> {
  const total = golden.shape.reduce((a, b) => a * b, 1)
  const batch = golden.shape[0]!
  const generator = new TorchGenerator(golden.seed)
  const begin = golden.start_step * plan.order
  const noise = generator.randn(total)
  const samples =
    golden.start_step > 0
      ? addNoiseToBatch({ scheduler, plan, batch }, begin, cleanSample(golden, total), noise)
      : noise.map((x) => x * fround(plan.initNoiseSigma))
  const loop = denoiseBatch({
    scheduler,
    plan,
    begin,
    batch,
    samples,
    model: MODELS[golden.model],
    generator,
    seed: golden.seed,
    options: stepOptions(golden.step_kwargs),
    scaling: 'model_only',
  })
  return new Map([...loop].entries())
}

const { fround } = Math

/** The goldens' models, float32 stage by stage as torch evaluates them. */
const MODELS: Readonly<Record<SchedulerCase['model'], (x: Float32Array, timestep: number) => Float32Array>> = {
  dummy: dummyModel,
  wave: (x, timestep) => {
    const wave = fround(fround(0.1) * fround(Math.sin(fround(fround(timestep) / 100))))
    return x.map((value) => fround(0.5 * value) + wave)
  },
  affine: (x, timestep) => {
    const shift = fround(fround(fround(0.05) * fround(timestep)) / 1000)
    return x.map((value) => fround(fround(0.1) * value) + shift)
  },
}

function cleanSample(golden: SchedulerCase, total: number): Float32Array {
  if (golden.clean === 'deter') return dummySampleDeter(golden.shape)
  return Float32Array.from({ length: total }, (_, i) => -1 + (2 * i) / (total - 1))
}
