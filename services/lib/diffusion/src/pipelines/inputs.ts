import { FAMILIES } from '../families/registry.ts'
import { cropRegion } from '../images/inpainting-crop.ts'
import type { Box } from '../images/raster.ts'
import { toBinaryMask, toEncoderInput } from '../images/vae-images.ts'
import type { GeneratorState } from '../random/torch-generator.ts'
import type { ImageRequest } from './image-request.ts'
import type { ModelSpec } from './model-spec.ts'
import { noisesImage, strengthOf, takesImage } from './step-range.ts'

/** A Gaussian that the VAE's encoder puts out for a picture: means, then log-variances, [2 × channels, height, width]. */
export type LatentDistribution = Float32Array

/** What the encoder and the depth model made of a request's pictures, before anything is drawn. */
export interface EncodedInputs {
  readonly image?: LatentDistribution
  /** The picture without what is repainted. */
  readonly maskedImage?: LatentDistribution
  /** [height, width] of the latents, -1 … 1. */
  readonly depth?: Float32Array
  /** Of a base that hands over to its refiner, [channels, height, width]. */
  readonly latents?: Float32Array
  /** Where that base's draws ended: the refiner's go on from there. */
  readonly generator?: GeneratorState
}

/** Pictures as the encoder takes them, [3, height, width]; null where the task has none. */
export interface EncoderInputs {
  readonly image: Float32Array | null
  readonly maskedImage: Float32Array | null
}

/**
 * What must go through the VAE's encoder before the lane can start.
 * @throws RangeError for a request that lacks a picture
 */
export function encoderInputs(spec: ModelSpec, request: ImageRequest): EncoderInputs {
  const { task, image } = request
  if (!takesImage(request)) return { image: null, maskedImage: null }
  if (image === undefined) throw new RangeError(`image is missing; ${task} wants a picture.`)
  const framing = { width: request.width, height: request.height, crop: inpaintingCrop(request) }
  const whole = toEncoderInput(image, framing)
  if (task !== 'inpainting') return { image: whole, maskedImage: null }
  const mask = repaintMask(request)
  const masked = whole.map((x, j) => (mask[j % mask.length] === 1 ? 0 : x))
  const needsImage =
    spec.inChannels === spec.latentChannels || !noisesImage(request) || strengthOf(FAMILIES[spec.family], request) < 1
  const needsMasked = spec.inChannels > spec.latentChannels
  return { image: needsImage ? whole : null, maskedImage: needsMasked ? masked : null }
}

/** 1 where the picture is repainted, [height, width] of the request. */
export function repaintMask(request: ImageRequest): Float32Array {
  const { maskImage, width, height } = request
  if (maskImage === undefined) throw new RangeError('maskImage is missing; inpainting wants one.')
  return toBinaryMask(maskImage, { width, height, crop: inpaintingCrop(request) })
}

/** The part of the picture that is rendered; null for all of it. */
export function inpaintingCrop({ task, maskImage, image, paddingMaskCrop, width, height }: ImageRequest): Box | null {
  if (task !== 'inpainting' || paddingMaskCrop === undefined || maskImage === undefined) return null
  if (image !== undefined && (image.width !== maskImage.width || image.height !== maskImage.height)) {
    throw new RangeError(
      `maskImage is ${maskImage.width}x${maskImage.height} but image ${image.width}x${image.height}; want one size with paddingMaskCrop.`,
    )
  }
  return cropRegion(maskImage, width, height, paddingMaskCrop)
}
