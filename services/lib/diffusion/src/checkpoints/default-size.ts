import { FAMILIES } from '../families/registry.ts'
import type { TaskName } from '../tasks/registry.ts'
import type { CheckpointDescription } from './describe.ts'

/** Pixels. */
export interface Size {
  readonly width: number
  readonly height: number
}

/**
 * Width and height of a request that names none: its picture's own, cut down to what the checkpoint can do, where diffusers'
 * pipeline takes those, else as the checkpoint was trained.
 */
export function defaultSize(
  { spec, defaultWidth, defaultHeight, sizeMultiple }: CheckpointDescription,
  task: TaskName,
  picture: Size | undefined,
): Size {
  const isRedrawn = task === 'image-to-image' || task === 'depth-to-image'
  if (picture === undefined || !isRedrawn || !FAMILIES[spec.family].followsPicture) {
    return { width: defaultWidth, height: defaultHeight }
  }
  const side = (pixels: number): number => Math.max(1, Math.floor(pixels / sizeMultiple)) * sizeMultiple
  return { width: side(picture.width), height: side(picture.height) }
}
