import type { ImageRequest } from '../pipelines/image-request.ts'
import type { LatentNormalization, ModelSpec } from '../pipelines/model-spec.ts'
import type { PlanRequest } from '../schedulers/scheduler.ts'
import type { TaskName } from '../tasks/registry.ts'

/** Numbers for a graph, without the batch dimension. */
export interface Tensor {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

/** Tensors by the graph's names. */
export type Tensors = Readonly<Record<string, Tensor>>

/** A text encoder with its tokenizer, by their folders. */
export interface TextEncoder {
  readonly tokenizer: string
  readonly encoder: string
  /** Tokens that a prompt is padded and cut to. */
  readonly maxLength: number
  /** Whether the request's maxSequenceLength takes its place (T5). */
  readonly followsRequest: boolean
  /** What is taken of the graph's outputs. */
  readonly outputs: readonly string[]
  /** Whether it does not look at the padding. diffusers' pipelines tell only encoders with `use_attention_mask` where it is. */
  readonly masksPadding: boolean
}

/** What the denoiser is called with besides sample and timestep. */
export interface Conditioning {
  /** One for each of the lane's rows: [unconditional, conditional] with guidance, else [conditional]. */
  readonly rows: readonly Tensors[]
  /** The same for every row of a call, passed once. */
  readonly shared: Tensors
}

export interface TaskDefaults {
  readonly numInferenceSteps: number
  readonly guidanceScale: number
  readonly strength: number
}

/** How the pipelines of one kind of model call it: what differs between Stable Diffusion, its successors and Flux. */
export interface Family {
  /** Folder of the model that denoises, and the name of its first input. */
  readonly denoiser: 'unet' | 'transformer'
  readonly sampleInput: 'sample' | 'hidden_states'
  /** Tasks that the family has pipelines for, with diffusers' defaults. */
  readonly defaults: Readonly<Partial<Record<TaskName, TaskDefaults>>>
  /** Whether a picture is redrawn at its own size where the request names none, rather than as the checkpoint was trained. */
  readonly followsPicture: boolean
  /**
   * Whether the task's pipeline takes guidance_rescale. Those of Stable Diffusion that start from a picture swallow it
   * among their `kwargs`, and so their pictures are without.
   */
  rescalesGuidance(task: TaskName): boolean
  /**
   * Whether inpainting at full strength starts from the picture at the first noise level, not from noise alone: another
   * picture where a schedule of the caller's own begins below 1.
   */
  readonly noisesWholeInpaintings: boolean
  isGuided(spec: ModelSpec, request: ImageRequest): boolean
  /** What the scheduler is asked for. */
  planRequest(spec: ModelSpec, request: ImageRequest, schedulerConfig: Readonly<Record<string, unknown>>): PlanRequest
  /** Steps of the user's that image-to-image leaves out: diffusers `get_timesteps`. */
  skippedSteps(spec: ModelSpec, request: ImageRequest, numInferenceSteps: number, strength: number): number
  /** Dimensions of one denoiser row, of which the first counts channels where there is no packing. */
  shape(spec: ModelSpec, width: number, height: number): readonly number[]
  /** Between [channels, height, width] and what the denoiser takes. */
  pack(latents: Float32Array, spec: ModelSpec, width: number, height: number): Float32Array
  unpack(latents: Float32Array, spec: ModelSpec, width: number, height: number): Float32Array
  /** What the task's pipeline undoes before it decodes. */
  decodingOf(spec: ModelSpec, task: TaskName): LatentNormalization
  /** The timestep as the model was trained on it. */
  modelTimestep(timestep: number): number
  /**
   * @param prompt outputs of each text encoder, in the family's order; those of an absent encoder are null
   * @param negative likewise; null without guidance, or where there is no negative prompt
   */
  condition(
    spec: ModelSpec,
    request: ImageRequest,
    prompt: readonly (Tensors | null)[],
    negative: readonly (Tensors | null)[] | null,
  ): Conditioning
}
