import { roundHalfEven } from '../schedulers/betas.ts'

/**
 * A decoded sample as 8-bit RGB: clamp(x / 2 + 0.5, 0, 1) · 255, halves to the even neighbour. diffusers `VaeImageProcessor`.
 * @param sample [3, height, width] in [-1, 1]
 * @returns [height, width, 3]
 */
export function toRgb8(sample: Float32Array, width: number, height: number): Uint8Array {
  const plane = width * height
  const rgb = new Uint8Array(3 * plane)
  for (let p = 0; p < plane; p++) {
    for (let c = 0; c < 3; c++) {
      const x = Math.fround(Math.fround(sample[c * plane + p]! * 0.5) + 0.5)
      rgb[3 * p + c] = roundHalfEven(Math.fround(Math.min(Math.max(x, 0), 1) * 255))
    }
  }
  return rgb
}

/** What the VAE's decoder takes: latents / scaling factor + shift. */
export function latentsForDecoder(latents: Float32Array, scalingFactor: number, shiftFactor: number): Float32Array {
  return latents.map((x) => x / scalingFactor + shiftFactor)
}
