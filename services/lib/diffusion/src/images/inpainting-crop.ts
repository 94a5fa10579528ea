import { resizeAndCrop } from './vae-images.ts'
import { createRaster, paste, toLuminance } from './raster.ts'
import type { Box, Raster } from './raster.ts'

/**
 * The part of a picture around its mask that has the aspect ratio of the size that is rendered.
 * diffusers `VaeImageProcessor.get_crop_region`.
 * @param padding pixels around the mask
 * @throws RangeError for a mask that is black all over
 */
export function cropRegion(mask: Raster, width: number, height: number, padding: number): Box {
  const grey = toLuminance(mask)
  const around = padded(boundsOf(grey), grey, padding)
  const ratio = width / height
  const [w, h] = [around.right - around.left, around.bottom - around.top]
  if (w / h > ratio) {
    const { start, end } = widened(around.top, around.bottom, Math.trunc(w / ratio - h), grey.height)
    return { ...around, top: start, bottom: end }
  }
  const { start, end } = widened(around.left, around.right, Math.trunc(h * ratio - w), grey.width)
  return { ...around, left: start, right: end }
}

function boundsOf({ data, width, height }: Raster): Box {
  const box = { left: width, top: height, right: 0, bottom: 0 }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] === 0) continue
      box.left = Math.min(box.left, x)
      box.right = Math.max(box.right, x + 1)
      box.top = Math.min(box.top, y)
      box.bottom = Math.max(box.bottom, y + 1)
    }
  }
  if (box.right === 0) throw new RangeError('maskImage is black all over; want white where the picture is repainted.')
  return box
}

function padded({ left, top, right, bottom }: Box, { width, height }: Raster, padding: number): Box {
  return {
    left: Math.max(left - padding, 0),
    top: Math.max(top - padding, 0),
    right: Math.min(right + padding, width),
    bottom: Math.min(bottom + padding, height),
  }
}

/** Adds `by` on both sides and shifts the range back inside 0 … limit as far as it goes. */
function widened(from: number, to: number, by: number, limit: number): { start: number; end: number } {
  let start = from - Math.floor(by / 2)
  let end = to + by - Math.floor(by / 2)
  if (end >= limit) {
    start -= end - limit
    end = limit
  }
  if (start < 0) {
    end -= start
    start = 0
  }
  return { start, end: Math.min(end, limit) }
}

/** a / 255, rounded, as Pillow divides. */
const div255 = (a: number): number => (a + 128 + ((a + 128) >> 8)) >> 8

/**
 * Puts a repainted part back: where the mask is black the original stays. diffusers `VaeImageProcessor.apply_overlay`, Pillow
 * `Image.paste` and `alpha_composite`.
 * @param repainted RGB, of the size that was rendered
 */
export function pasteBack(original: Raster, mask: Raster, repainted: Raster, box: Box): Raster {
  const out = createRaster(original.width, original.height, 3)
  paste(out, resizeAndCrop(repainted, box.right - box.left, box.bottom - box.top), box.left, box.top)
  const grey = toLuminance(mask).data
  for (let p = 0; p < grey.length; p++) {
    const alpha = 255 - grey[p]!
    if (alpha === 0) continue
    for (let c = 0; c < 3; c++) {
      const level = original.data[original.channels * p + (c % original.channels)]!
      // Premultiplied and back, which costs a rounding where the mask is grey.
      const kept = alpha === 255 ? level : Math.min(255, Math.floor((255 * div255(level * alpha)) / alpha))
      const blended = (kept * alpha + out.data[3 * p + c]! * (255 - alpha)) * 128 + (0x80 << 7)
      out.data[3 * p + c] = (((blended >> 8) + blended) >> 8) >> 7
    }
  }
  return out
}
