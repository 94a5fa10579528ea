import { resize } from './pillow-resize.ts'
import { createRaster, crop, paste, toLuminance } from './raster.ts'
import type { Box, Raster } from './raster.ts'

/** What of an input picture is worked on, and how it is brought to the size that is rendered. */
export interface Framing {
  readonly width: number
  readonly height: number
  /** Only this part, filled out to the size's aspect ratio: `padding_mask_crop`. */
  readonly crop: Box | null
}

/**
 * A picture as the VAE's encoder takes it. diffusers `VaeImageProcessor.preprocess`.
 * @returns [3, height, width] in [-1, 1]
 */
export function toEncoderInput(image: Raster, framing: Framing): Float32Array {
  const { data, width, height } = framed(image, framing)
  const plane = width * height
  const out = new Float32Array(3 * plane)
  const step = image.channels
  for (let p = 0; p < plane; p++) {
    for (let c = 0; c < 3; c++) out[c * plane + p] = 2 * Math.fround(data[step * p + (c % step)]! / 255) - 1
  }
  return out
}

/** The mask as 0 (keep) and 1 (repaint), [height, width]: sized, then grey. diffusers `VaeImageProcessor.preprocess`. */
export function toBinaryMask(mask: Raster, framing: Framing): Float32Array {
  const grey = toLuminance(framed(mask, framing))
  return Float32Array.from(grey.data, (level) => (level / 255 >= 0.5 ? 1 : 0))
}

/** A mask at the size of the latents: torch's nearest-neighbour `interpolate`. */
export function toLatentMask(
  mask: Float32Array,
  from: { readonly width: number; readonly height: number },
  to: { readonly width: number; readonly height: number },
): Float32Array {
  const out = new Float32Array(to.width * to.height)
  for (let y = 0; y < to.height; y++) {
    const row = Math.floor((y * from.height) / to.height) * from.width
    for (let x = 0; x < to.width; x++) out[y * to.width + x] = mask[row + Math.floor((x * from.width) / to.width)]!
  }
  return out
}

function framed(image: Raster, { width, height, crop: part }: Framing): Raster {
  return part === null ? resize(image, width, height, 'lanczos') : resizeAndFill(crop(image, part), width, height)
}

/** Fits the picture inside the size and repeats its edges around it. diffusers `_resize_and_fill`. */
function resizeAndFill(image: Raster, width: number, height: number): Raster {
  const ratio = width / height
  const ownRatio = image.width / image.height
  const innerWidth = ratio < ownRatio ? width : Math.floor((image.width * height) / image.height)
  const innerHeight = ratio >= ownRatio ? height : Math.floor((image.height * width) / image.width)
  const inner = resize(image, innerWidth, innerHeight, 'lanczos')
  const out = createRaster(width, height, image.channels)
  const x = Math.floor(width / 2) - Math.floor(innerWidth / 2)
  const y = Math.floor(height / 2) - Math.floor(innerHeight / 2)
  paste(out, inner, x, y)
  // An empty box at an edge spreads that edge.
  const edge = { left: 0, top: 0, right: innerWidth, bottom: innerHeight }
  if (ratio < ownRatio && y > 0) {
    paste(out, resize(inner, width, y, 'bicubic', { ...edge, right: width, bottom: 0 }), 0, 0)
    paste(out, resize(inner, width, y, 'bicubic', { ...edge, right: width, top: innerHeight }), 0, y + innerHeight)
  } else if (ratio > ownRatio && x > 0) {
    paste(out, resize(inner, x, height, 'bicubic', { ...edge, right: 0, bottom: height }), 0, 0)
    paste(out, resize(inner, x, height, 'bicubic', { ...edge, left: innerWidth, bottom: height }), x + innerWidth, 0)
  }
  return out
}

/** Fits the picture around the size and cuts off what is over. diffusers `_resize_and_crop`. */
export function resizeAndCrop(image: Raster, width: number, height: number): Raster {
  const ratio = width / height
  const ownRatio = image.width / image.height
  const outerWidth = ratio > ownRatio ? width : Math.floor((image.width * height) / image.height)
  const outerHeight = ratio <= ownRatio ? height : Math.floor((image.height * width) / image.width)
  const out = createRaster(width, height, image.channels)
  const x = Math.floor(width / 2) - Math.floor(outerWidth / 2)
  const y = Math.floor(height / 2) - Math.floor(outerHeight / 2)
  paste(out, resize(image, outerWidth, outerHeight, 'lanczos'), x, y)
  return out
}
