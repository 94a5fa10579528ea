import type { ModelSpec } from '../pipelines/lane.ts'
import { stableDiffusionSchedulerConfig } from '../pipelines/scheduler-config.ts'
import type { TaskName } from '../pipelines/registry.ts'

/** What a checkpoint can do and what it wants, read from its configs alone. */
export interface CheckpointDescription {
  /** `_class_name` of model_index.json. */
  readonly pipelineClass: string
  /** The first is the one that an item without a task means. */
  readonly tasks: readonly TaskName[]
  readonly spec: ModelSpec
  /** Pixels. */
  readonly defaultWidth: number
  readonly defaultHeight: number
  /** Width and height must be multiples of it, in pixels. */
  readonly sizeMultiple: number
  /** The scheduler it was saved with, its config as the pipeline's constructor leaves it (snake_case). */
  readonly scheduler: { readonly name: string; readonly config: Readonly<Record<string, unknown>> }
  /** Of the VAE; 1 where there is none. */
  readonly scalingFactor: number
  readonly shiftFactor: number
  /** Tokens of a prompt with its start and end; null where the pipeline takes no prompt. */
  readonly promptMaxLength: number | null
}

const PIPELINES: Readonly<Record<string, 'text-to-image' | 'unconditional-image-generation'>> = {
  StableDiffusionPipeline: 'text-to-image',
  OnnxStableDiffusionPipeline: 'text-to-image',
  DDPMPipeline: 'unconditional-image-generation',
  DDIMPipeline: 'unconditional-image-generation',
  PNDMPipeline: 'unconditional-image-generation',
}

/**
 * Describes a checkpoint from its parsed configs, by path ("model_index.json", "unet/config.json", …).
 * @throws RangeError for a pipeline that this library does not run, TypeError for a config that lacks what it must say
 */
export function describeCheckpoint(configs: Readonly<Record<string, unknown>>): CheckpointDescription {
  const pipelineClass = text(configs, 'model_index.json', '_class_name')
  const task = PIPELINES[pipelineClass]
  if (task === undefined) {
    throw new RangeError(
      `model_index.json: _class_name ${JSON.stringify(pipelineClass)} is not supported, want one of ${Object.keys(PIPELINES).join(', ')}.`,
    )
  }
  return task === 'text-to-image'
    ? describeStableDiffusion(configs, pipelineClass)
    : describeUnconditional(configs, pipelineClass)
}

function describeStableDiffusion(configs: Readonly<Record<string, unknown>>, pipelineClass: string) {
  const unet = describeUnet(configs)
  if (object(configs, 'unet/config.json')['time_cond_proj_dim'] != null) {
    throw new RangeError(
      'unet/config.json: time_cond_proj_dim is set; UNets with guidance embeddings are not supported.',
    )
  }
  const latentChannels = integer(configs, VAE, 'latent_channels', 4)
  if (unet.inChannels !== latentChannels) {
    throw new RangeError(
      `unet/config.json: in_channels is ${unet.inChannels} but the VAE has ${latentChannels} latent channels; UNets with further inputs are not supported.`,
    )
  }
  const vaeScaleFactor = 2 ** (blocks(configs, VAE) - 1)
  const scheduler = schedulerOf(configs)
  return describe(pipelineClass, 'text-to-image', unet, vaeScaleFactor, {
    scheduler: { name: scheduler.name, config: stableDiffusionSchedulerConfig(scheduler.config) },
    scalingFactor: number(configs, VAE, 'scaling_factor', 0.18215),
    shiftFactor: number(configs, VAE, 'shift_factor', 0),
    promptMaxLength: promptLength(configs),
  })
}

function describeUnconditional(configs: Readonly<Record<string, unknown>>, pipelineClass: string) {
  return describe(pipelineClass, 'unconditional-image-generation', describeUnet(configs), 1, {
    scheduler: schedulerOf(configs),
    scalingFactor: 1,
    shiftFactor: 0,
    promptMaxLength: null,
  })
}

interface Unet {
  readonly inChannels: number
  readonly sampleSize: number
  /** Latent sides must be multiples of it: each level but the last halves them, and an exported graph cannot round. */
  readonly sideMultiple: number
}

function describe(
  pipelineClass: string,
  task: TaskName,
  { inChannels, sampleSize, sideMultiple }: Unet,
  vaeScaleFactor: number,
  rest: Pick<CheckpointDescription, 'scheduler' | 'scalingFactor' | 'shiftFactor' | 'promptMaxLength'>,
): CheckpointDescription {
  const sizeMultiple = sideMultiple * vaeScaleFactor
  return {
    pipelineClass,
    tasks: [task],
    spec: { inChannels, sampleSize, vaeScaleFactor, sizeMultiple, trainedScheduler: { ...rest.scheduler.config } },
    defaultWidth: sampleSize * vaeScaleFactor,
    defaultHeight: sampleSize * vaeScaleFactor,
    sizeMultiple,
    ...rest,
  }
}

const VAE = 'vae_decoder/config.json'

function describeUnet(configs: Readonly<Record<string, unknown>>): Unet {
  const file = 'unet/config.json'
  const inChannels = integer(configs, file, 'in_channels')
  const outChannels = integer(configs, file, 'out_channels')
  if (inChannels !== outChannels) {
    throw new RangeError(
      `${file}: out_channels is ${outChannels}, in_channels ${inChannels}; only UNets with as many out as in are supported.`,
    )
  }
  const sideMultiple = 2 ** (blocks(configs, file) - 1)
  return { inChannels, sampleSize: integer(configs, file, 'sample_size'), sideMultiple }
}

function schedulerOf(configs: Readonly<Record<string, unknown>>) {
  const file = 'scheduler/scheduler_config.json'
  return { name: text(configs, file, '_class_name'), config: object(configs, file) }
}

function promptLength(configs: Readonly<Record<string, unknown>>): number {
  const encoder = 'text_encoder/config.json'
  const positions = integer(configs, encoder, 'max_position_embeddings')
  const file = 'tokenizer/tokenizer_config.json'
  // Tokenizers without a limit of their own save a number like 1e30.
  return Math.min(positions, integer(configs, file, 'model_max_length', positions))
}

function object(configs: Readonly<Record<string, unknown>>, file: string): Readonly<Record<string, unknown>> {
  const value = configs[file]
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${file} is missing from the checkpoint or is not a JSON object.`)
  }
  return value as Record<string, unknown>
}

function text(configs: Readonly<Record<string, unknown>>, file: string, key: string): string {
  const value = object(configs, file)[key]
  if (typeof value !== 'string') throw new TypeError(`${file}: ${key} is ${JSON.stringify(value)}, want a string.`)
  return value
}

function number(configs: Readonly<Record<string, unknown>>, file: string, key: string, fallback?: number): number {
  const value = object(configs, file)[key] ?? fallback
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new TypeError(`${file}: ${key} is ${JSON.stringify(value)}, want a number.`)
  }
  return value
}

function integer(configs: Readonly<Record<string, unknown>>, file: string, key: string, fallback?: number): number {
  const value = number(configs, file, key, fallback)
  if (!Number.isInteger(value) || value < 1)
    throw new TypeError(`${file}: ${key} is ${value}, want a positive integer.`)
  return value
}

function blocks(configs: Readonly<Record<string, unknown>>, file: string): number {
  const value = object(configs, file)['block_out_channels']
  if (!Array.isArray(value) || value.length === 0) {
    throw new TypeError(`${file}: block_out_channels is ${JSON.stringify(value)}, want a list of channel counts.`)
  }
  return value.length
}
