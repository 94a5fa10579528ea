import type { Raster } from './raster.ts'

/**
 * A decoded sample as 8-bit RGB: clamp(x / 2 + 0.5, 0, 1) · 255, halves to the even neighbour. diffusers `VaeImageProcessor`.
 * @param sample [3, height, width] in [-1, 1], or [1, height, width] for grey pictures
 */
export function toRgb8(sample: Float32Array, width: number, height: number): Raster {
  const plane = width * height
  const channels = sample.length / plane
  const data = new Uint8Array(3 * plane)
  for (let c = 0; c < 3; c++) {
    const from = (c % channels) * plane
    for (let p = 0, to = c; p < plane; p++, to += 3) {
      const x = Math.fround(Math.fround(sample[from + p]! * 0.5) + 0.5)
      const level = Math.fround((x < 0 ? 0 : x > 1 ? 1 : x) * 255)
      data[to] = Math.fround(level + ROUNDER) - ROUNDER
    }
  }
  return { width, height, channels: 3, data }
}

/** Added to a small float32 and taken away again, it rounds halves to the even neighbour: behind it there is no room for them. */
const ROUNDER = 2 ** 23
