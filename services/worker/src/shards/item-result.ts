import { DarkroomError } from '@darkroom/chassis'
import { CANCELLED } from '@darkroom/proto'
import type { FailedImage, Item, ItemResult, RenderedImage } from '@darkroom/proto'
import { RenderFailure } from '../engine/render-failure.ts'

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
  const seconds = reason instanceof RenderFailure ? reason.deviceSeconds : 0
  return { n, seed: Number(item.seed) + n, code, message, seconds }
}

/** An item that cannot be rendered. @throws what else went wrong: that is the attempt's trouble and not the item's */
export function failedItem({ index, customId, scheduler }: Item, reason: unknown): ItemResult {
  const { code, message } = DarkroomError.from(reason)
  if (code !== 'RENDER_FAILED') throw reason
  const seconds = reason instanceof RenderFailure ? reason.deviceSeconds : 0
  return { index, customId, state: 'failed', code, message, scheduler, seconds }
}

/** Somebody cancelled it before it had all of its images. */
export function cancelledItem({ index, customId }: Item): ItemResult {
  return { index, customId, ...CANCELLED }
}

/** What became of an item, from its images in order: it fails where none could be rendered. */
export function itemResultOf(item: Item, outcomes: readonly (FinishedImage | FailedImage)[]): ItemResult {
  const { index, customId, scheduler, numInferenceSteps, numImages } = item
  const finished = outcomes.filter((outcome): outcome is FinishedImage => 'image' in outcome)
  const failedImages = outcomes.filter((outcome): outcome is FailedImage => !('image' in outcome))
  const [first] = finished
  const seconds = outcomes.reduce((sum, outcome) => sum + (outcome.seconds ?? 0), 0)
  if (first === undefined) {
    const { n, seed, message } = failedImages[0]!
    const which = `none of its ${numImages} images could be rendered; image ${n} with seed ${seed}: `
    return failedItem(item, new RenderFailure(numImages > 1 ? which + message : message, seconds))
  }
  return {
    index,
    customId,
    state: 'rendered',
    scheduler,
    numInferenceSteps,
    steps: finished.reduce((sum, { steps }) => sum + steps, 0),
    images: finished.map(({ image }) => image),
    ...(failedImages.length > 0 && { failedImages }),
    seconds,
    // They come from the prompts, which all images share.
    warnings: first.warnings,
  }
}
