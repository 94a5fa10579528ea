import { roundHalfEven } from '../schedulers/betas.ts'
import type { Raster } from './raster.ts'

/**
 * A decoded sample as 8-bit RGB: clamp(x / 2 + 0.5, 0, 1) · 255, halves to the even neighbour. diffusers `VaeImageProcessor`.
 * @param sample [3, height, width] in [-1, 1], or [1, height, width] for grey pictures
 */
export function toRgb8(sample: Float32Array, width: number, height: number): Raster {
  const plane = width * height
  const channels = sample.length / plane
  const data = new Uint8Array(3 * plane)
  for (let p = 0; p < plane; p++) {
    for (let c = 0; c < 3; c++) {
      const x = Math.fround(Math.fround(sample[(c % channels) * plane + p]! * 0.5) + 0.5)
      data[3 * p + c] = roundHalfEven(Math.fround(Math.min(Math.max(x, 0), 1) * 255))
    }
  }
  return { width, height, channels: 3, data }
}
