import { toLatentMask } from '../images/vae-images.ts'
import type { TorchGenerator } from '../random/torch-generator.ts'
import type { Plan } from '../schedulers/scheduler.ts'
import { scale } from '../schedulers/vector-steps.ts'
import { repaintMask } from './inputs.ts'
import type { EncodedInputs, LatentDistribution } from './inputs.ts'
import type { ImageRequest } from './image-request.ts'
import { normalizeLatents } from './model-spec.ts'
import type { ModelSpec } from './model-spec.ts'
import type { Opening } from './opening.ts'
import { noisesImage } from './step-range.ts'

/** Where a lane starts: everything that its pictures and its first draws decide. [channels, height, width] each. */
export interface Start {
  readonly latents: Float32Array
  /** Channels that the denoiser sees after the latents: mask and masked picture, or depth. */
  readonly extraChannels: Float32Array | null
  /** What is kept of the picture by a model that was not trained to inpaint. */
  readonly kept: KeptPicture | null
}

export interface KeptPicture {
  /** 1 where it is repainted. */
  readonly mask: Float32Array
  readonly latents: Float32Array
  readonly noise: Float32Array
}

interface Beginning extends Opening {
  readonly generator: TorchGenerator
}

/**
 * Draws what a lane starts from, in the order of diffusers' pipelines with a batch of one: the picture's posterior, the
 * noise, the masked picture's posterior (`prepare_latents`, `prepare_mask_latents`).
 */
export function drawStart(beginning: Beginning, inputs: EncodedInputs): Start {
  switch (beginning.request.task) {
    case 'text-to-image':
    case 'unconditional-image-generation':
      return { latents: fromNoise(beginning), extraChannels: null, kept: null }
    case 'image-to-image':
      return { latents: inputs.latents ?? fromImage(beginning, inputs.image!), extraChannels: null, kept: null }
    case 'depth-to-image':
      return { latents: fromImage(beginning, inputs.image!), extraChannels: inputs.depth!, kept: null }
    case 'inpainting':
      return startInpainting(beginning, inputs)
    default:
      return beginning.request.task satisfies never
  }
}

function sizeOf({ width, height }: ImageRequest, spec: ModelSpec): number {
  return (spec.latentChannels * width * height) / spec.vaeScaleFactor ** 2
}

function fromNoise({ request, spec, plan, generator }: Beginning): Float32Array {
  return raised(generator.randn(sizeOf(request, spec)), plan)
}

/** Noise at the first level of the schedule; torch rounds the level to float32, too. */
function raised(noise: Float32Array, { initNoiseSigma }: Plan): Float32Array {
  const out = new Float32Array(noise.length)
  scale(Math.fround(initNoiseSigma), noise, out)
  return out
}

function fromImage(beginning: Beginning, image: LatentDistribution): Float32Array {
  const { spec, generator } = beginning
  const clean = normalizeLatents(drawPosterior(image, generator), spec.latentChannels, spec.latents)
  return noisesImage(beginning.request) ? noised(beginning, clean, generator.randn(clean.length)) : clean
}

function noised({ scheduler, plan, begin }: Beginning, clean: Float32Array, noise: Float32Array): Float32Array {
  const out = new Float32Array(clean.length)
  scheduler.addNoise!(plan, begin, clean, noise, out)
  return out
}

function startInpainting(beginning: Beginning, inputs: EncodedInputs): Start {
  const { spec, request, generator } = beginning
  const clean =
    inputs.image === undefined
      ? null
      : normalizeLatents(drawPosterior(inputs.image, generator), spec.latentChannels, spec.latents)
  const noise = generator.randn(sizeOf(request, spec))
  const latents = inputs.latents ?? inpaintingStart(beginning, clean, noise)
  const size = { width: request.width / spec.vaeScaleFactor, height: request.height / spec.vaeScaleFactor }
  const mask = toLatentMask(repaintMask(request), request, size)
  if (inputs.maskedImage === undefined) {
    // diffusers encodes the masked picture even where it is not used: its draw comes before those of the steps.
    generator.randn(latents.length)
    return { latents, extraChannels: null, kept: { mask, latents: clean!, noise } }
  }
  const masked = normalizeLatents(drawPosterior(inputs.maskedImage, generator), spec.latentChannels, spec.latents)
  const extraChannels = new Float32Array(mask.length + masked.length)
  extraChannels.set(mask)
  extraChannels.set(masked, mask.length)
  return { latents, extraChannels, kept: null }
}

function inpaintingStart(beginning: Beginning, clean: Float32Array | null, noise: Float32Array): Float32Array {
  const { family, request, plan, strength } = beginning
  if (!noisesImage(request)) return clean!
  if (strength < 1 || family.noisesWholeInpaintings) return noised(beginning, clean!, noise)
  // Flows are pure noise at their first level; only the older pipelines raise noise by its sigma.
  return raised(noise, plan)
}

/** A sample of the VAE's posterior. diffusers `DiagonalGaussianDistribution.sample`. */
function drawPosterior(distribution: LatentDistribution, generator: TorchGenerator): Float32Array {
  const size = distribution.length / 2
  const out = generator.randn(size)
  const { exp, fround, max, min } = Math
  for (let j = 0; j < size; j++) {
    const logVariance = min(max(distribution[size + j]!, -30), 20)
    out[j] = distribution[j]! + fround(fround(exp(fround(0.5 * logVariance))) * out[j]!)
  }
  return out
}
