import { DarkroomError } from '@darkroom/chassis'
import type { FailedImage, Item, ItemResult, RenderedImage } from '@darkroom/proto'

/** An image that is in the bucket, and what it took. */
export interface FinishedImage {
  readonly image: RenderedImage
  /** Model calls. */
  readonly steps: number
  readonly seconds: number
  readonly warnings: readonly string[]
}

/**
 * An image that cannot be rendered, as its item keeps it beside the others.
 * @throws what else went wrong: that is the attempt's trouble and not the image's
 */
export function failedImage(item: Item, n: number, reason: unknown): FailedImage {
  const { code, message } = DarkroomError.from(reason)
  if (code !== 'RENDER_FAILED') throw reason
  return { n, seed: Number(item.seed) + n, code, message }
}

/**
 * What became of an item, from its images in order.
 * @throws DarkroomError RENDER_FAILED where none could be rendered
 */
export function itemResultOf(item: Item, outcomes: readonly (FinishedImage | FailedImage)[]): ItemResult {
  const { index, customId, scheduler, numInferenceSteps, numImages } = item
  const finished = outcomes.filter((outcome): outcome is FinishedImage => 'image' in outcome)
  const failedImages = outcomes.filter((outcome): outcome is FailedImage => !('image' in outcome))
  const [first] = finished
  if (first === undefined) {
    const { n, seed, message } = failedImages[0]!
    const which = `none of its ${numImages} images could be rendered; image ${n} with seed ${seed}: `
    throw new DarkroomError('RENDER_FAILED', numImages > 1 ? which + message : message)
  }
  const sum = (of: 'steps' | 'seconds'): number => finished.reduce((total, image) => total + image[of], 0)
  return {
    index,
    customId,
    state: 'rendered',
    scheduler,
    numInferenceSteps,
    steps: sum('steps'),
    images: finished.map(({ image }) => image),
    ...(failedImages.length > 0 && { failedImages }),
    seconds: sum('seconds'),
    // They come from the prompts, which all images share.
    warnings: first.warnings,
  }
}
