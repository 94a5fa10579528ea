/** A picture of 8-bit samples, rows from the top, channels interleaved: data is [height, width, channels]. */
export interface Raster {
  readonly width: number
  readonly height: number
  /** 1: luminance ("L"), 3: RGB. */
  readonly channels: 1 | 3
  readonly data: Uint8Array
}

export function createRaster(width: number, height: number, channels: 1 | 3): Raster {
  return { width, height, channels, data: new Uint8Array(width * height * channels) }
}

/** Pixels of [left, right) × [top, bottom); black where the box leaves the picture. Pillow `Image.crop`. */
export function crop(image: Raster, { left, top, right, bottom }: Box): Raster {
  const out = createRaster(right - left, bottom - top, image.channels)
  paste(out, image, -left, -top)
  return out
}

export interface Box {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** Copies `source` into `target` with its corner at (x, y), as far as it fits. */
export function paste(target: Raster, source: Raster, x: number, y: number): void {
  const from = Math.max(0, -x)
  const to = Math.min(source.width, target.width - x)
  if (from >= to) return
  for (let row = Math.max(0, -y); row < Math.min(source.height, target.height - y); row++) {
    const start = (row * source.width + from) * source.channels
    const pixels = source.data.subarray(start, start + (to - from) * source.channels)
    target.data.set(pixels, ((row + y) * target.width + x + from) * target.channels)
  }
}

/** Pillow's `convert("L")`: ITU-R 601-2 luma in 16-bit fixed point. */
export function toLuminance(image: Raster): Raster {
  if (image.channels === 1) return image
  const out = createRaster(image.width, image.height, 1)
  for (let p = 0; p < out.data.length; p++) {
    const [r, g, b] = [image.data[3 * p]!, image.data[3 * p + 1]!, image.data[3 * p + 2]!]
    out.data[p] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16
  }
  return out
}
