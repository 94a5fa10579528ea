import { TorchGenerator } from '../random/torch-generator.ts'
import type { Raster } from './raster.ts'

/** A linear guess of what the VAE makes of a latent pixel: for red, green and blue a weight of each channel, and an offset. */
export interface LatentSketch {
  /** [3][channels + 1] */
  readonly weights: readonly (readonly number[])[]
}

const BLOCK = 4

/**
 * A picture to fit a sketch on, for the encoder to say what latents it is: patches of every colour on a white ground, which of
 * several kinds that were tried predicts pictures best.
 * @param side latent pixels
 * @param scale pixels of one
 * @returns [3, side · scale, side · scale] in [-1, 1]
 */
export function sketchPicture(side: number, scale: number): Float32Array {
  const patches = side / BLOCK
  // Three colours of each patch, and whether it is ground.
  const random = new TorchGenerator(0).randn(4 * patches * patches)
  const width = side * scale
  return Float32Array.from({ length: 3 * width * width }, (_, j) => {
    const [c, y, x] = [Math.floor(j / width ** 2), Math.floor(j / width) % width, j % width]
    const patch = Math.floor(y / (BLOCK * scale)) * patches + Math.floor(x / (BLOCK * scale))
    if (random[3 * patches * patches + patch]! < -0.25) return 1
    return Math.tanh(1.5 * random[c * patches * patches + patch]!)
  })
}

/**
 * Latents to fit a sketch on where there is no encoder: noise in flat blocks, which the decoder shows as patches of colour.
 * @returns [channels, side, side]
 */
export function sketchLatents(channels: number, side: number): Float32Array {
  const noise = new TorchGenerator(0).randn(channels * side * side)
  return noise.map((_, j) => {
    const [y, x] = [Math.floor(j / side) % side, j % side]
    return noise[j - (y % BLOCK) * side - (x % BLOCK)]!
  })
}

/**
 * Fits a sketch by least squares to one picture that the checkpoint's own decoder made.
 * @param latents [channels, side, side]
 * @param picture [3, side × scale, side × scale] in [-1, 1]
 */
export function fitSketch(latents: Float32Array, channels: number, side: number, picture: Float32Array): LatentSketch {
  const scale = Math.round(Math.sqrt(picture.length / 3) / side)
  const size = channels + 1
  const pixels = Array.from({ length: side * side }, (_, p) => [
    ...Array.from({ length: channels }, (_channel, c) => latents[c * side * side + p]!),
    1,
  ])
  const product = (a: number, b: number): number => pixels.reduce((sum, row) => sum + row[a]! * row[b]!, 0)
  const normal = Array.from({ length: size }, (_, a) => Array.from({ length: size }, (_b, b) => product(a, b)))
  const weights = [0, 1, 2].map((colour) => {
    const means = pixels.map((_, p) => blockMean(picture, colour, side, scale, p))
    const right = normal.map((_, a) => pixels.reduce((sum, row, p) => sum + row[a]! * means[p]!, 0))
    return solve(normal, right)
  })
  return { weights }
}

function blockMean(picture: Float32Array, colour: number, side: number, scale: number, p: number): number {
  const width = side * scale
  const corner = colour * width * width + Math.floor(p / side) * scale * width + (p % side) * scale
  let sum = 0
  for (let y = 0; y < scale; y++) for (let x = 0; x < scale; x++) sum += picture[corner + y * width + x]!
  return sum / scale ** 2
}

/** Gaussian elimination with pivoting of a symmetric system. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!])
  const size = rows.length
  for (let k = 0; k < size; k++) {
    const pivot = rows.slice(k).reduce((best, row) => (Math.abs(row[k]!) > Math.abs(best[k]!) ? row : best))
    rows.splice(rows.indexOf(pivot), 1)
    rows.splice(k, 0, pivot)
    for (let i = 0; i < size; i++) {
      if (i === k || pivot[k] === 0) continue
      const factor = rows[i]![k]! / pivot[k]!
      rows[i] = rows[i]!.map((value, j) => value - factor * pivot[j]!)
    }
  }
  return rows.map((row, k) => (row[k] === 0 ? 0 : row[size]! / row[k]!))
}

/**
 * The picture that latents promise, one pixel for each of theirs.
 * @param latents [channels, height, width]
 */
export function sketch({ weights }: LatentSketch, latents: Float32Array, width: number, height: number): Raster {
  const plane = width * height
  const channels = latents.length / plane
  const data = new Uint8Array(3 * plane)
  for (let p = 0; p < plane; p++) {
    for (const [colour, row] of weights.entries()) {
      let value = row[channels]!
      for (let c = 0; c < channels; c++) value += row[c]! * latents[c * plane + p]!
      data[3 * p + colour] = Math.round(Math.min(Math.max(value / 2 + 0.5, 0), 1) * 255)
    }
  }
  return { width, height, channels: 3, data }
}
