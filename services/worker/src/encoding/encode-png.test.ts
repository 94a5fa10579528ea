import type { Raster } from '@darkroom/diffusion'
import { createHash } from 'node:crypto'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { encodePng } from './encode-png.ts'

/** Noise over a gradient. */
function rasterOf(width: number, height: number, channels: 1 | 3): Raster {
  const data = new Uint8Array(width * height * channels)
  for (let j = 0; j < data.length; j++) data[j] = j / 50 + (Math.imul(j, 2_654_435_761) >>> 27)
  return { width, height, channels, data }
}

test('any size decodes to the pixels that were encoded', async () => {
  for (const channels of [1, 3] as const) {
    for (const [width, height] of [[1, 1], [1, 9], [2, 1], [3, 2], [5, 7], [64, 64], [65, 33]] as const) {
      const picture = rasterOf(width, height, channels)
      const { data, info } = await sharp(encodePng(picture), { failOn: 'warning' })
        .toColourspace(channels === 1 ? 'b-w' : 'srgb')
        .raw()
        .toBuffer({ resolveWithObject: true })
      expect(info).toMatchObject({ width, height, channels })
      expect(Buffer.compare(data, picture.data)).toBe(0)
    }
  } // prettier-ignore
})

test('a part of a larger memory is encoded as itself', () => {
  const whole = rasterOf(4, 4, 3)
  const memory = new Uint8Array(1 + whole.data.length)
  memory.set(whole.data, 1)
  expect(encodePng({ ...whole, data: memory.subarray(1) })).toEqual(encodePng(whole))
})

test('the bytes are the same wherever it runs', () => {
  const lines = { ...rasterOf(96, 80, 3), data: rasterOf(96, 80, 3).data.map((_, j) => (j % 3000 < 40 ? j : 90)) }
  const hashes = [rasterOf(96, 80, 3), lines].map((picture) =>
    createHash('sha256').update(encodePng(picture)).digest('hex').slice(0, 16),
  )
  expect(hashes).toEqual(['c7468a47d1ffb69e', '7b487f50548e7c8c'])
})

test('flat pictures stay small', async () => {
  const flat = { ...rasterOf(64, 64, 3), data: new Uint8Array(64 * 64 * 3).fill(200) }
  expect(encodePng(flat).length).toBeLessThan(300)
})
