import type { TaskDefaults, TextEncoder } from '../families/family.ts'
import { FAMILIES } from '../families/registry.ts'
import type { FamilyName } from '../families/registry.ts'
import type { ModelSpec } from '../pipelines/model-spec.ts'
import { constructedSchedulerConfig } from '../pipelines/scheduler-config.ts'
import type { TaskName } from '../tasks/registry.ts'
import { ConfigReader } from './config-reader.ts'
import { textEncodersOf } from './text-encoders.ts'

/** What a checkpoint can do and what it wants, read from its configs alone. */
export interface CheckpointDescription {
  /** `_class_name` of model_index.json. */
  readonly pipelineClass: string
  /** The first is the one that an item without a task means. */
  readonly tasks: readonly TaskName[]
  readonly spec: ModelSpec
  /** diffusers' defaults of each task. */
  readonly defaults: Readonly<Partial<Record<TaskName, TaskDefaults>>>
  /** Pixels. */
  readonly defaultWidth: number
  readonly defaultHeight: number
  /** Width and height must be multiples of it, in pixels. */
  readonly sizeMultiple: number
  /** The scheduler it was saved with, its config as the pipeline's constructor leaves it (snake_case). */
  readonly scheduler: { readonly name: string; readonly config: Readonly<Record<string, unknown>> }
  /** In the order of the family; null for one that the checkpoint does without. */
  readonly textEncoders: readonly (TextEncoder | null)[]
  /** Tokens of a prompt with its start and end; null where the pipeline takes no prompt. */
  readonly promptMaxLength: number | null
  readonly hasSafetyChecker: boolean
  readonly hasDepthEstimator: boolean
}

/** Families by the pipelines that diffusers saves them as, without "Pipeline" and what names the task. */
const PIPELINES: Readonly<Record<string, FamilyName>> = {
  StableDiffusion: 'stable-diffusion',
  LatentConsistencyModel: 'latent-consistency',
  StableDiffusionXL: 'stable-diffusion-xl',
  StableDiffusion3: 'stable-diffusion-3',
  Flux: 'flux',
  DDPM: 'unconditional',
  DDIM: 'unconditional',
  PNDM: 'unconditional',
}

/**
 * Describes a checkpoint from its parsed configs, by path ("model_index.json", "unet/config.json", …).
 * @throws RangeError for a pipeline that this library does not run, TypeError for a config that lacks what it must say
 */
export function describeCheckpoint(configs: Readonly<Record<string, unknown>>): CheckpointDescription {
  const reader = new ConfigReader(configs)
  const pipelineClass = reader.text('model_index.json', '_class_name')
  const stem = pipelineClass
    .replace(/^(ORT|Onnx)/, '')
    .replace(/(Img2Img|InpaintLegacy|Inpaint|Depth2Img)?Pipeline$/, '')
  const family = PIPELINES[stem]
  if (family === undefined) {
    const known = Object.keys(PIPELINES).map((name) => `${name}Pipeline`)
    throw new RangeError(
      `model_index.json: _class_name ${JSON.stringify(pipelineClass)} is not supported, want one of ${known.join(', ')}.`,
    )
  }
  const spec = specOf(reader, family)
  const tasks = tasksOf(reader, spec)
  const textEncoders = textEncodersOf(reader, family)
  const side = spec.sampleSize * spec.vaeScaleFactor
  return {
    pipelineClass,
    tasks,
    spec,
    defaults: FAMILIES[family].defaults,
    defaultWidth: side,
    defaultHeight: side,
    sizeMultiple: spec.sizeMultiple,
    scheduler: {
      name: reader.text(SCHEDULER, '_class_name'),
      config: constructedSchedulerConfig(spec, tasks[0]!),
    },
    textEncoders,
    promptMaxLength: textEncoders.find((encoder) => encoder !== null)?.maxLength ?? null,
    hasSafetyChecker: reader.has('safety_checker/config.json'),
    hasDepthEstimator: reader.has('depth_estimator/config.json'),
  }
}

const SCHEDULER = 'scheduler/scheduler_config.json'
const VAE = 'vae_decoder/config.json'
const FLUX_SAMPLE_SIZE = 128

function specOf(reader: ConfigReader, family: FamilyName): ModelSpec {
  const { denoiser } = FAMILIES[family]
  const file = `${denoiser}/config.json`
  const hasVae = family !== 'unconditional'
  const inChannels = reader.integer(file, 'in_channels')
  const latentChannels = hasVae ? reader.integer(VAE, 'latent_channels', 4) : inChannels
  const vaeScaleFactor = hasVae ? 2 ** (reader.levels(VAE) - 1) : 1
  const patchSize = family === 'flux' ? 2 : denoiser === 'transformer' ? reader.integer(file, 'patch_size', 2) : 1
  // Each level of a UNet but the last halves the sides, and an exported graph cannot round.
  const sideMultiple = denoiser === 'unet' ? 2 ** (reader.levels(file) - 1) : patchSize
  return {
    family,
    inChannels: family === 'flux' ? inChannels / 4 : inChannels,
    latentChannels,
    learnsVariance: learnsVariance(reader, file, family, latentChannels),
    sampleSize: family === 'flux' ? FLUX_SAMPLE_SIZE : reader.integer(file, 'sample_size'),
    vaeScaleFactor,
    sizeMultiple: sideMultiple * vaeScaleFactor,
    maxSide: family === 'stable-diffusion-3' ? maxSide(reader, file, patchSize * vaeScaleFactor) : null,
    trainedScheduler: reader.object(SCHEDULER),
    latents: hasVae
      ? {
          scalingFactor: reader.number(VAE, 'scaling_factor', 0.18215),
          shiftFactor: reader.number(VAE, 'shift_factor', 0),
          mean: reader.nullableNumbers(VAE, 'latents_mean'),
          std: reader.nullableNumbers(VAE, 'latents_std'),
        }
      : { scalingFactor: 1, shiftFactor: 0, mean: null, std: null },
    timeCondProjDim: reader.nullableInteger(file, 'time_cond_proj_dim'),
    jointAttentionDim: reader.nullableInteger(file, 'joint_attention_dim'),
    patchSize,
    hasGuidanceEmbeds: reader.flag(file, 'guidance_embeds', false),
    forcesZerosForEmptyPrompt: reader.flag(
      'model_index.json',
      'force_zeros_for_empty_prompt',
      family === 'stable-diffusion-xl',
    ),
    requiresAestheticsScore: reader.flag('model_index.json', 'requires_aesthetics_score', false),
  }
}

/** What the learned positions of a transformer reach to. */
function maxSide(reader: ConfigReader, file: string, pixelsPerPatch: number): number {
  return reader.integer(file, 'pos_embed_max_size', 96) * pixelsPerPatch
}

/** @throws RangeError for outputs that are neither a prediction alone nor, of models on pixels, a prediction and its variance */
function learnsVariance(reader: ConfigReader, file: string, family: FamilyName, latentChannels: number): boolean {
  if (reader.object(file)['out_channels'] == null || family === 'flux') return false
  const outChannels = reader.integer(file, 'out_channels')
  if (outChannels === latentChannels) return false
  if (family === 'unconditional' && outChannels === 2 * latentChannels) return true
  throw new RangeError(
    `${file}: out_channels is ${outChannels} but the samples have ${latentChannels} latent channels; models that put out more are not supported.`,
  )
}

/** What the inputs of a denoiser make it for. @throws RangeError */
function tasksOf(reader: ConfigReader, { family, inChannels, latentChannels }: ModelSpec): readonly TaskName[] {
  if (family === 'unconditional') return ['unconditional-image-generation']
  const canEncode = reader.has('vae_encoder/config.json')
  if (inChannels === latentChannels) {
    const fromText: readonly TaskName[] = isRefiner(reader, family) ? [] : ['text-to-image']
    const fromImages: readonly TaskName[] =
      family === 'latent-consistency' ? ['image-to-image'] : ['image-to-image', 'inpainting']
    const tasks = canEncode ? [...fromText, ...fromImages] : fromText
    if (tasks.length > 0) return tasks
    throw new RangeError('vae_encoder/config.json is missing from the checkpoint; a refiner works on pictures.')
  }
  const task = inChannels === 2 * latentChannels + 1 ? 'inpainting' : 'depth-to-image'
  const isKnown = task === 'inpainting' || (inChannels === latentChannels + 1 && family === 'stable-diffusion')
  if (!isKnown) {
    throw new RangeError(
      `in_channels is ${inChannels} but the VAE has ${latentChannels} latent channels; want as many, one more for depth, or twice as many and one for inpainting.`,
    )
  }
  if (!canEncode) throw new RangeError(`vae_encoder/config.json is missing from the checkpoint; ${task} needs it.`)
  return [task]
}

function isRefiner(reader: ConfigReader, family: FamilyName): boolean {
  return family === 'stable-diffusion-xl' && !reader.has('text_encoder/config.json')
}
