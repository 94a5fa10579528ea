import { FAMILIES } from '../families/registry.ts'
import { drawNoise } from '../random/draw-noise.ts'
import { TorchGenerator } from '../random/torch-generator.ts'
import type { GeneratorState } from '../random/torch-generator.ts'
import { guide, rescaleGuidance } from './guidance.ts'
import type { ImageRequest } from './image-request.ts'
import type { EncodedInputs } from './inputs.ts'
import { denormalizeLatents } from './model-spec.ts'
import type { ModelSpec } from './model-spec.ts'
import { openRequest } from './opening.ts'
import type { Opening } from './opening.ts'
import { drawStart } from './start.ts'
import type { KeptPicture } from './start.ts'

/** One image being denoised. */
export interface Lane extends Opening {
  /** See `Start`; both as the denoiser packs its samples. */
  readonly extraChannels: Float32Array | null
  readonly kept: KeptPicture | null
  /** Next step of the loop. */
  index: number
  /** x at that step, flattened. */
  latents: Float32Array
  /** What the solver remembers; plain data. */
  schedulerState: unknown
  readonly generator: TorchGenerator
}

/** How far a lane is, as plain data: with its request, enough to go on elsewhere with the identical picture. */
export interface LaneState extends Pick<Lane, 'index' | 'latents' | 'schedulerState' | 'extraChannels' | 'kept'> {
  readonly generator: GeneratorState
}

/**
 * Opens a lane and draws what it starts from with a generator that is seeded for this image alone: noise, and the posteriors
 * of the pictures that the task starts from.
 * @throws RangeError as `openRequest`
 */
export function createLane(spec: ModelSpec, request: ImageRequest, inputs: EncodedInputs = {}): Lane {
  const opening = openRequest(spec, request)
  const { family, scheduler, plan, begin } = opening
  const generator = new TorchGenerator(inputs.generator ?? request.seed)
  const start = drawStart({ ...opening, generator }, inputs)
  const pack = (latents: Float32Array): Float32Array => family.pack(latents, spec, request.width, request.height)
  return {
    ...opening,
    index: begin,
    latents: pack(start.latents),
    extraChannels: start.extraChannels,
    kept: start.kept === null ? null : packKept(start.kept, spec.latentChannels, pack),
    schedulerState: scheduler.initialState(plan),
    generator,
  }
}

/** The mask repeated for each channel, so that it is packed as the latents are. */
function packKept(kept: KeptPicture, channels: number, pack: (latents: Float32Array) => Float32Array): KeptPicture {
  const mask = new Float32Array(kept.mask.length * channels)
  for (let c = 0; c < channels; c++) mask.set(kept.mask, c * kept.mask.length)
  return { mask: pack(mask), latents: pack(kept.latents), noise: pack(kept.noise) }
}

export function snapshotLane(lane: Lane): LaneState {
  const { index, latents, schedulerState, extraChannels, kept, generator } = lane
  return structuredClone({ index, latents, schedulerState, extraChannels, kept, generator: generator.state() })
}

/** @throws RangeError as `openRequest` */
export function restoreLane(spec: ModelSpec, request: ImageRequest, state: LaneState): Lane {
  const { generator, ...rest } = structuredClone(state)
  return { ...openRequest(spec, request), ...rest, generator: new TorchGenerator(generator) }
}

/** Rows of a denoiser call that a request takes: 2 with classifier-free guidance ([unconditional, conditional]), else 1. */
export function rowsOf(spec: ModelSpec, request: ImageRequest): 1 | 2 {
  return FAMILIES[spec.family].isGuided(spec, request) ? 2 : 1
}

export function isFinished(lane: Lane): boolean {
  return lane.index >= lane.end
}

/** Model calls that are left. */
export function stepsLeft(lane: Lane): number {
  return lane.end - lane.index
}

/** Model calls that were made. */
export function finishedSteps(lane: Lane): number {
  return lane.index - lane.begin
}

/** What the model is told of the noise level. */
export function timestepOf({ family, plan, index }: Lane): number {
  return family.modelTimestep(plan.timesteps[index]!)
}

/** Dimensions of one row of the model's input: the latents' shape, and the extra channels that it sees. */
export function inputShape({ shape, extraChannels, latents }: Lane): readonly number[] {
  if (extraChannels === null) return shape
  const [channels, ...rest] = shape
  return [channels! + (extraChannels.length * channels!) / latents.length, ...rest]
}

/** Writes what the model sees of the lane, once per row, from `offset` of a batch that is flattened [rows, …inputShape]. */
export function writeModelInput(lane: Lane, batch: Float32Array, offset: number): void {
  const { scheduler, plan, index, latents, extraChannels } = lane
  const size = latents.length + (extraChannels?.length ?? 0)
  scheduler.scaleModelInput(plan, index, latents, batch.subarray(offset, offset + latents.length))
  if (extraChannels !== null) batch.set(extraChannels, offset + latents.length)
  if (rowsOf(lane.spec, lane.request) === 2) batch.copyWithin(offset + size, offset, offset + size)
}

/** Numbers that the model puts out for one row: those of `shape`, twice where it learned its variance. */
export function outputSize({ spec, latents }: Lane): number {
  return spec.learnsVariance ? 2 * latents.length : latents.length
}

/**
 * Takes the lane one step further with the model's output for its rows, which is flattened [rows, outputSize] from `offset`:
 * guidance, the step's noise from the lane's own generator, the scheduler's step, and what is kept of a picture.
 */
export function advanceLane(lane: Lane, output: Float32Array, offset: number): void {
  const { scheduler, plan, options, latents, index, generator } = lane
  const prediction = predictionOf(lane, output, offset)
  const noise = drawNoise(scheduler.noiseOf(plan, index, options), latents.length, generator, lane.request.seed)
  const next = new Float32Array(latents.length)
  lane.schedulerState = scheduler.step(plan, index, prediction, latents, lane.schedulerState, noise, options, next)
  lane.latents = next
  lane.index++
  if (lane.kept !== null) keepPicture(lane, lane.kept)
}

function predictionOf(lane: Lane, output: Float32Array, offset: number): Float32Array {
  const size = lane.latents.length
  if (rowsOf(lane.spec, lane.request) === 1) return output.subarray(offset, offset + outputSize(lane))
  const { guidanceScale, guidanceRescale = 0 } = lane.request
  const guided = guide(output, offset, size, guidanceScale)
  if (guidanceRescale > 0 && lane.family.rescalesGuidance(lane.request.task)) {
    rescaleGuidance(guided, output.subarray(offset + size, offset + 2 * size), guidanceRescale)
  }
  return guided
}

/** Puts what is not repainted back, at the noise level of the next step. diffusers `StableDiffusionInpaintPipeline`. */
function keepPicture({ scheduler, plan, index, end, latents }: Lane, kept: KeptPicture): void {
  let original = kept.latents
  if (index < end) {
    original = new Float32Array(latents.length)
    scheduler.addNoise!(plan, index, kept.latents, kept.noise, original)
  }
  for (let j = 0; j < latents.length; j++) if (kept.mask[j] !== 1) latents[j] = original[j]!
}

/** The lane's sample as it is handed over or looked at: [channels, height, width]. */
export function latentImage({ family, spec, request, latents }: Lane): Float32Array {
  return family.unpack(latents, spec, request.width, request.height)
}

/** The lane's sample as the VAE decodes it: [channels, height, width]. */
export function decoderInput(lane: Lane): Float32Array {
  const { family, spec, request } = lane
  return denormalizeLatents(latentImage(lane), spec.latentChannels, family.decodingOf(spec, request.task))
}

/** As `latentImage`, at the scale that the model sees: what a sketch is made of while the loop runs. */
export function scaledLatentImage(lane: Lane): Float32Array {
  const { family, spec, request, scheduler, plan, latents } = lane
  const scaled = new Float32Array(latents.length)
  if (isFinished(lane)) scaled.set(latents)
  else scheduler.scaleModelInput(plan, lane.index, latents, scaled)
  return family.unpack(scaled, spec, request.width, request.height)
}
