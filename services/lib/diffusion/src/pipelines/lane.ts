import { drawNoise } from '../random/draw-noise.ts'
import { TorchGenerator } from '../random/torch-generator.ts'
import type { GeneratorState } from '../random/torch-generator.ts'
import { schedulerFromConfig } from '../schedulers/from-config.ts'
import type { AnyScheduler, Plan, StepOptions } from '../schedulers/scheduler.ts'
import { TASKS } from './registry.ts'
import type { TaskName } from './registry.ts'

/** What a checkpoint says about shapes and about the scheduler that it was saved with. */
export interface ModelSpec {
  /** Of the UNet. */
  readonly inChannels: number
  /** Side that the UNet was trained at, in latent pixels. */
  readonly sampleSize: number
  /** Pixels per latent pixel; 1 where the UNet works on pixels. */
  readonly vaeScaleFactor: number
  /** Width and height must be multiples of it, in pixels. */
  readonly sizeMultiple: number
  /** Its scheduler_config.json as the pipeline's constructor leaves it. */
  readonly trainedScheduler: Readonly<Record<string, unknown>>
}

/** One image, complete. */
export interface ImageRequest {
  readonly task: TaskName
  /** Pixels. */
  readonly width: number
  readonly height: number
  /** diffusers' class name. */
  readonly scheduler: string
  /** Keys that override the checkpoint's own, snake_case. */
  readonly schedulerConfig: Readonly<Record<string, unknown>>
  readonly numInferenceSteps: number
  readonly guidanceScale: number
  readonly eta: number
  /** Of this image. */
  readonly seed: number
}

/** One image being denoised. */
export interface Lane {
  readonly request: ImageRequest
  readonly spec: ModelSpec
  readonly scheduler: AnyScheduler
  readonly plan: Plan
  readonly options: StepOptions
  /** [channels, height, width] of the latents. */
  readonly shape: readonly [number, number, number]
  /** Next step of the loop, 0 … plan.timesteps.length. */
  index: number
  /** x at that step, flattened. */
  latents: Float32Array
  /** What the solver remembers; plain data. */
  schedulerState: unknown
  readonly generator: TorchGenerator
}

/** A lane as plain data: enough to go on elsewhere with the identical picture. */
export interface LaneSnapshot {
  readonly request: ImageRequest
  readonly spec: ModelSpec
  readonly index: number
  readonly latents: Float32Array
  readonly schedulerState: unknown
  readonly generator: GeneratorState
}

/**
 * Opens a lane and draws its initial noise: the first draw of a generator seeded for this image alone, times
 * initNoiseSigma. diffusers `StableDiffusionPipeline.prepare_latents`, `DDPMPipeline.__call__` with a batch of one.
 * @throws RangeError for a size, scheduler or step count that cannot be
 */
export function createLane(spec: ModelSpec, request: ImageRequest): Lane {
  for (const side of ['width', 'height'] as const) {
    if (request[side] < 1 || request[side] % spec.sizeMultiple !== 0) {
      throw new RangeError(`${side} is ${request[side]}; want a positive multiple of ${spec.sizeMultiple}.`)
    }
  }
  const generator = new TorchGenerator(request.seed)
  const lane = openLane(spec, request, generator)
  const [channels, height, width] = lane.shape
  lane.latents = generator.randn(channels * height * width)
  const scale = lane.plan.initNoiseSigma
  for (let j = 0; j < lane.latents.length; j++) lane.latents[j] = lane.latents[j]! * scale
  lane.schedulerState = lane.scheduler.initialState(lane.plan)
  return lane
}

function openLane(spec: ModelSpec, request: ImageRequest, generator: TorchGenerator): Lane {
  const { scheduler, config } = schedulerFromConfig(request.scheduler, spec.trainedScheduler, request.schedulerConfig)
  return {
    request,
    spec,
    scheduler,
    plan: scheduler.plan(config, { numInferenceSteps: request.numInferenceSteps }),
    options: { eta: request.eta },
    shape: [spec.inChannels, request.height / spec.vaeScaleFactor, request.width / spec.vaeScaleFactor],
    index: 0,
    latents: new Float32Array(),
    schedulerState: null,
    generator,
  }
}

export function snapshotLane(lane: Lane): LaneSnapshot {
  const { request, spec, index, latents, schedulerState, generator } = lane
  return structuredClone({ request, spec, index, latents, schedulerState, generator: generator.state() })
}

export function restoreLane(snapshot: LaneSnapshot): Lane {
  const { request, spec, index, latents, schedulerState, generator } = structuredClone(snapshot)
  return { ...openLane(spec, request, new TorchGenerator(generator)), index, latents, schedulerState }
}

/** Rows of a UNet call that the lane takes: 2 with classifier-free guidance ([unconditional, conditional]), else 1. */
export function rowsOf(lane: Lane): 1 | 2 {
  return isGuided(lane.request) ? 2 : 1
}

/** diffusers `do_classifier_free_guidance`. */
export function isGuided(request: ImageRequest): boolean {
  return TASKS[request.task].usesPrompt && request.guidanceScale > 1
}

export function isFinished(lane: Lane): boolean {
  return lane.index >= lane.plan.timesteps.length
}

/** Model calls that are left. */
export function stepsLeft(lane: Lane): number {
  return lane.plan.timesteps.length - lane.index
}

export function timestepOf(lane: Lane): number {
  return lane.plan.timesteps[lane.index]!
}

/** Writes what the UNet sees of the lane, once per row, from `offset` of a batch that is flattened [rows, channels, height, width]. */
export function writeModelInput(lane: Lane, batch: Float32Array, offset: number): void {
  const size = lane.latents.length
  const first = batch.subarray(offset, offset + size)
  lane.scheduler.scaleModelInput(lane.plan, lane.index, lane.latents, first)
  if (rowsOf(lane) === 2) batch.set(first, offset + size)
}

/**
 * Takes the lane one step further with the UNet's output for its rows: guidance u + g (c - u), the step's noise from the
 * lane's own generator, the scheduler's step.
 */
export function advanceLane(lane: Lane, output: Float32Array, offset: number): void {
  const { scheduler, plan, options, latents, index } = lane
  const size = latents.length
  const prediction =
    rowsOf(lane) === 2
      ? guide(output, offset, size, lane.request.guidanceScale)
      : output.subarray(offset, offset + size)
  const noise = drawNoise(scheduler.noiseOf(plan, index, options), size, lane.generator)
  const next = new Float32Array(size)
  lane.schedulerState = scheduler.step(plan, index, prediction, latents, lane.schedulerState, noise, options, next)
  lane.latents = next
  lane.index++
}

function guide(output: Float32Array, offset: number, size: number, scale: number): Float32Array {
  const guided = new Float32Array(size)
  const weight = Math.fround(scale)
  for (let j = 0; j < size; j++) {
    const u = output[offset + j]!
    // Rounded to float32 by each store, as torch rounds each operation.
    guided[j] = output[offset + size + j]! - u
    guided[j] = weight * guided[j]!
    guided[j] = u + guided[j]!
  }
  return guided
}
