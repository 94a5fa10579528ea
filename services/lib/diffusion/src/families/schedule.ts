import type { ImageRequest } from '../pipelines/image-request.ts'
import type { ModelSpec } from '../pipelines/model-spec.ts'
import type { PlanRequest } from '../schedulers/scheduler.ts'

/** A schedule of the request's own, or its number of steps. diffusers `retrieve_timesteps`. */
export function requestedSchedule(request: ImageRequest): PlanRequest {
  const { timesteps, sigmas, numInferenceSteps, originalInferenceSteps } = request
  if (timesteps !== undefined && sigmas !== undefined) {
    throw new RangeError('timesteps and sigmas are both given; want one schedule.')
  }
  const options = originalInferenceSteps === undefined ? {} : { originalInferenceSteps }
  if (!hasOwnSchedule(request)) return { numInferenceSteps, ...options }
  if (timesteps !== undefined) return { timesteps, ...options }
  return { sigmas: sigmas!, ...options }
}

/** Whether the caller spaces the steps. `StableDiffusionDepth2ImgPipeline` has no such argument and leaves it unheard. */
export function hasOwnSchedule({ task, timesteps, sigmas }: ImageRequest): boolean {
  return task !== 'depth-to-image' && (timesteps !== undefined || sigmas !== undefined)
}

/** diffusers' UNet pipelines count the steps that stay, and cut the fraction off. */
export function skippedByInteger(steps: number, strength: number): number {
  return Math.max(steps - Math.min(Math.trunc(steps * strength), steps), 0)
}

/** diffusers' transformer pipelines count the steps that go. */
export function skippedByFraction(steps: number, strength: number): number {
  return Math.trunc(Math.max(steps - Math.min(steps * strength, steps), 0))
}

/** mu of dynamic shifting, linear in the number of patches. diffusers `calculate_shift`. */
export function dynamicShift(
  spec: ModelSpec,
  { width, height }: ImageRequest,
  config: Readonly<Record<string, unknown>>,
  maxShift: number,
): number {
  const side = (pixels: number): number => Math.floor(Math.floor(pixels / spec.vaeScaleFactor) / spec.patchSize)
  const number = (key: string, fallback: number): number => Number(config[key] ?? fallback)
  const [from, to] = [number('base_image_seq_len', 256), number('max_image_seq_len', 4096)]
  const base = number('base_shift', 0.5)
  const slope = (number('max_shift', maxShift) - base) / (to - from)
  return side(height) * side(width) * slope + (base - slope * from)
}
