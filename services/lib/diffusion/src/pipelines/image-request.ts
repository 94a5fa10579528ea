import type { DepthMap } from '../images/depth-map.ts'
import type { Raster } from '../images/raster.ts'
import type { TaskName } from '../tasks/registry.ts'

/** One image, complete. Where a field is left out, diffusers' default for the checkpoint's family and task stands. */
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
  /** Lin et al. 2023 (arXiv:2305.08891), section 3.4: 0 off … 1 full. */
  readonly guidanceRescale?: number
  /** A schedule of the caller's own, instead of numInferenceSteps. */
  readonly timesteps?: readonly number[]
  readonly sigmas?: readonly number[]
  /** LCM and TCD: steps of the schedule that was distilled. */
  readonly originalInferenceSteps?: number
  /** Image-to-image, inpainting, depth-to-image: how much of the schedule is run on the input, 0 … 1. */
  readonly strength?: number
  /** Those tasks' input, of any size. */
  readonly image?: Raster
  /** Inpainting: white is repainted. */
  readonly maskImage?: Raster
  /** Inpainting: only the mask's surroundings are rendered, this many pixels around it. */
  readonly paddingMaskCrop?: number
  /** Depth-to-image; estimated from the image where it is left out. */
  readonly depthMap?: DepthMap
  /** Tokens of the T5 prompt of Stable Diffusion 3 and Flux. */
  readonly maxSequenceLength?: number
  /** Stable Diffusion XL: the part of the noise schedule that this checkpoint takes, 0 … 1, of a base and its refiner. */
  readonly denoisingStart?: number
  readonly denoisingEnd?: number
  /** Stable Diffusion XL's micro-conditioning, [height, width] and [top, left] in pixels. */
  readonly originalSize?: readonly [number, number]
  readonly cropsCoordsTopLeft?: readonly [number, number]
  readonly targetSize?: readonly [number, number]
  readonly aestheticScore?: number
  readonly negativeAestheticScore?: number
}
