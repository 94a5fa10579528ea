import type { Raster } from '@darkroom/diffusion'

const AVERAGE = 3
/** One bit of each of four bytes: all but the lowest, all but the highest, the highest. */
const UPPER_BITS = 0xfefefefe
const LOWER_BITS = 0x7f7f7f7f
const TOP_BITS = 0x80808080

/**
 * A picture's rows as PNG's Average filter leaves them: each byte less the mean, rounded down, of those to its left and above.
 *
 * PNG specification, third edition, 9.2 and 9.4. Four bytes at a time, without a carry between them: Hacker's Delight, 2nd
 * edition, 2-5 (averages) and 2-18 (differences in bytes).
 *
 * @returns [height, 1 + width · channels], each row behind the filter's number
 */
export function filterAverage({ width, height, channels, data }: Raster): Uint8Array {
  const stride = width * channels
  const filtered = new Uint8Array((stride + 1) * height)
  const source = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const target = new DataView(filtered.buffer)
  for (let y = 0; y < height; y++) {
    const from = y * stride
    const to = y * (stride + 1) + 1
    filtered[to - 1] = AVERAGE
    // Left of the first pixel and above the first row is black.
    const plain = (start: number, end: number): void => {
      for (let j = start; j < end; j++) {
        const left = j < channels ? 0 : data[from + j - channels]!
        const above = y === 0 ? 0 : data[from + j - stride]!
        filtered[to + j] = data[from + j]! - ((left + above) >> 1)
      }
    }
    const wordsEnd = y === 0 ? channels : channels + ((stride - channels) & ~3)
    plain(0, channels)
    for (let j = channels; j < wordsEnd; j += 4) {
      const here = source.getInt32(from + j, true)
      const left = source.getInt32(from + j - channels, true)
      const above = source.getInt32(from + j - stride, true)
      const mean = (left & above) + (((left ^ above) & UPPER_BITS) >>> 1)
      const difference = ((here | TOP_BITS) - (mean & LOWER_BITS)) ^ ((here ^ ~mean) & TOP_BITS)
      target.setInt32(to + j, difference, true)
    }
    plain(wordsEnd, stride)
  }
  return filtered
}
