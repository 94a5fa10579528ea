import type { Raster } from '@darkroom/diffusion'

const OCTAVES = 7
/** Pixels of the coarsest octave's cells. */
const CELL = 128
/** Of the whole range: what a sensor, or a VAE's decoder, adds to each pixel. */
const GRAIN = 0.02
const COLOURS = [
  { base: 0.2, slopeX: 0.6, slopeY: 0, contrast: 1 },
  { base: 0.3, slopeX: 0, slopeY: 0.4, contrast: 0.8 },
  { base: 0.7, slopeX: -0.2, slopeY: -0.2, contrast: 0.9 },
] as const

/** A picture as a photo's statistics have it: smooth gradients, octaves of value noise that halve, a little grain. */
export function photo(width: number, height: number, seed: number): Raster {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let detail = 0
      for (let octave = 0; octave < OCTAVES; octave++) {
        const scale = 2 ** octave
        detail += (valueNoise((x * scale) / CELL, (y * scale) / CELL, seed * 16 + octave) - 0.5) / (2 * scale)
      }
      for (const [c, { base, slopeX, slopeY, contrast }] of COLOURS.entries()) {
        const tint = 0.2 * (valueNoise((2 * x) / CELL, (2 * y) / CELL, seed * 16 + 9 + c) - 0.5)
        const grain = GRAIN * (random(x, y, seed * 16 + 12 + c) - 0.5)
        const level = base + (slopeX * x) / width + (slopeY * y) / height + contrast * detail + tint + grain
        data[(y * width + x) * 3 + c] = Math.max(0, Math.min(255, Math.round(255 * level)))
      }
    }
  }
  return { width, height, channels: 3, data }
}

/** Smoothly interpolated between a random number at each whole point. */
function valueNoise(x: number, y: number, seed: number): number {
  const [left, top] = [Math.floor(x), Math.floor(y)]
  const [u, v] = [smooth(x - left), smooth(y - top)]
  const above = random(left, top, seed) * (1 - u) + random(left + 1, top, seed) * u
  const below = random(left, top + 1, seed) * (1 - u) + random(left + 1, top + 1, seed) * u
  return above * (1 - v) + below * v
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t)
}

/** 0 … 1, the same for the same point and seed. */
function random(x: number, y: number, seed: number): number {
  let hash = Math.imul(x, 374_761_393) ^ Math.imul(y, 668_265_263) ^ Math.imul(seed, 2_246_822_519)
  hash = Math.imul(hash ^ (hash >>> 13), 1_274_126_177)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
