import type { Raster } from '@darkroom/diffusion'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { PngEncoder } from './png-encoder.ts'

const TEXTS = { darkroom: '{}', parameters: '' }

function flat(width: number, level: number): Raster {
  return { width, height: 2, channels: 3, data: new Uint8Array(width * 2 * 3).fill(level) }
}

test('pictures that are asked for at once come back to who asked', async () => {
  await using png = new PngEncoder((reason) => expect.unreachable(reason.message))
  const files = await Promise.all([300, 1, 20].map((width) => png.encode(flat(width, width % 256), TEXTS)))
  const sizes = await Promise.all(files.map(async (file) => (await sharp(file).metadata()).width))
  expect(sizes).toEqual([300, 1, 20])
})

test('a thread that dies fails what waits and what comes, and says so once', async () => {
  const deaths: Error[] = []
  await using png = new PngEncoder((reason) => deaths.push(reason))
  const broken = { ...flat(4, 1), height: 2 ** 40 }
  const waiting = [png.encode(broken, TEXTS), png.encode(flat(4, 1), TEXTS)]
  for (const answer of waiting) await expect(answer).rejects.toMatchObject({ code: 'INTERNAL' })
  await expect(png.encode(flat(4, 1), TEXTS)).rejects.toMatchObject({ code: 'INTERNAL' })
  expect(deaths).toHaveLength(1)
})

test('what waits when it is stopped is cancelled, and stopping is no death', async () => {
  const png = new PngEncoder((reason) => expect.unreachable(reason.message))
  const waiting = expect(png.encode(flat(4, 1), TEXTS)).rejects.toMatchObject({ code: 'CANCELLED' })
  await png[Symbol.asyncDispose]()
  await waiting
})
