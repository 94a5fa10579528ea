import { createRaster } from './raster.ts'
import type { Box, Raster } from './raster.ts'

export type ResizeFilter = 'bilinear' | 'bicubic' | 'lanczos'

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x))

/** Kernels and their radius. Pillow `Resample.c`. */
const FILTERS: Readonly<Record<ResizeFilter, { radius: number; weight: (x: number) => number }>> = {
  bilinear: { radius: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    radius: 2,
    weight: (value) => {
      const a = -0.5
      const x = Math.abs(value)
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
    },
  },
  lanczos: { radius: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
}

/** Weights are 22-bit fixed point, so that the result is Pillow's to the bit. */
const UNIT = 2 ** 22

/** For each output sample: where its inputs start, and their weights. */
interface Taps {
  readonly start: number
  readonly weights: Float64Array
}

/**
 * The `Image.resize` of Pillow 13 for 8-bit pictures, bit for bit: columns first, unless the height shrinks more than twice
 * as much as the width, and each pass rounded to 8 bits.
 * @param box the part that is resized; may be empty, which repeats its edge
 */
export function resize(image: Raster, width: number, height: number, filter: ResizeFilter, box?: Box): Raster {
  const { left, top, right, bottom } = box ?? { left: 0, top: 0, right: image.width, bottom: image.height }
  const isSameWidth = width === image.width && left === 0 && right === width
  const isSameHeight = height === image.height && top === 0 && bottom === height
  const across = (from: Raster): Raster =>
    isSameWidth ? from : resizeRows(from, tapsOf(image.width, left, right, width, filter))
  const down = (from: Raster): Raster =>
    isSameHeight ? from : resizeColumns(from, tapsOf(image.height, top, bottom, height, filter))
  const shrinkage = image.height - height
  const isDownFirst = shrinkage > 0 && shrinkage > 2 * (image.width - width)
  return isDownFirst ? across(down(image)) : down(across(image))
}

function tapsOf(inSize: number, from: number, to: number, outSize: number, filter: ResizeFilter): Taps[] {
  const { radius, weight } = FILTERS[filter]
  const scale = (to - from) / outSize
  const stretch = Math.max(scale, 1)
  const support = radius * stretch
  return Array.from({ length: outSize }, (_, i) => {
    const center = from + (i + 0.5) * scale
    const start = Math.max(0, Math.trunc(center - support + 0.5))
    const end = Math.min(inSize, Math.trunc(center + support + 0.5))
    const raw = Array.from({ length: end - start }, (_tap, k) => weight((start + k - center + 0.5) / stretch))
    const sum = raw.reduce((a, b) => a + b, 0)
    const shares = sum === 0 ? raw : raw.map((share) => share / sum)
    return { start, weights: Float64Array.from(shares, (share) => Math.trunc(share * UNIT + (share < 0 ? -0.5 : 0.5))) }
  })
}

function toByte(sum: number): number {
  return Math.min(Math.max(Math.floor(sum / UNIT), 0), 255)
}

function resizeRows(image: Raster, taps: readonly Taps[]): Raster {
  const { channels, data } = image
  const out = createRaster(taps.length, image.height, channels)
  let at = 0
  for (let y = 0; y < image.height; y++) {
    const row = y * image.width * channels
    for (const { start, weights } of taps) {
      for (let c = 0; c < channels; c++) {
        let sum = UNIT / 2
        for (let k = 0; k < weights.length; k++) sum += data[row + (start + k) * channels + c]! * weights[k]!
        out.data[at++] = toByte(sum)
      }
    }
  }
  return out
}

function resizeColumns(image: Raster, taps: readonly Taps[]): Raster {
  const { channels, data, width } = image
  const stride = width * channels
  const out = createRaster(width, taps.length, channels)
  let at = 0
  for (const { start, weights } of taps) {
    for (let x = 0; x < stride; x++) {
      let sum = UNIT / 2
      for (let k = 0; k < weights.length; k++) sum += data[(start + k) * stride + x]! * weights[k]!
      out.data[at++] = toByte(sum)
    }
  }
  return out
}
