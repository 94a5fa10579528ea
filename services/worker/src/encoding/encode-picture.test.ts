import { readPictureTexts } from '@darkroom/chassis'
import type { Raster } from '@darkroom/diffusion'
import type { OutputFormat } from '@darkroom/proto'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { encodePicture } from './encode-picture.ts'
import { PngEncoder } from './png-encoder.ts'

const TEXTS = { darkroom: '{"item":{"prompt":"ein Äpfelchen"}}', parameters: 'ein Äpfelchen\nSteps: 20' }
const fails = (reason: Error): never => expect.unreachable(reason.message)

function gradient(): Raster {
  const [width, height] = [40, 24]
  const data = Uint8Array.from({ length: width * height * 3 }, (_, j) => (j % (3 * width)) + (j % 3) * 20)
  return { width, height, channels: 3, data }
}

async function levelsOff(file: Buffer): Promise<number> {
  const pixels = await sharp(file).raw().toBuffer()
  return Math.max(...gradient().data.map((level, j) => Math.abs(level - pixels[j]!)))
}

describe.for<[OutputFormat, number]>([
  ['png', 0],
  ['jpeg', 12],
  ['webp', 24],
])('as %s', ([format, mostOff]) => {
  test('a picture is what it was, says how it was rendered, and is the same file every time', async () => {
    await using png = new PngEncoder(fails)
    const files = await Promise.all([1, 2, 3].map(() => encodePicture(png, gradient(), format, TEXTS)))
    expect(files[1]).toEqual(files[0])
    expect(files[2]).toEqual(files[0])
    expect(await sharp(files[0]).metadata()).toMatchObject({ format, width: 40, height: 24, channels: 3 })
    expect(await levelsOff(files[0]!)).toBeLessThanOrEqual(mostOff)
    const { darkroom, parameters } = await readPictureTexts(files[0]!)
    expect(parameters).toBe(TEXTS.parameters)
    expect(JSON.parse(darkroom!)).toEqual(JSON.parse(TEXTS.darkroom))
  })
})

test('JPEG keeps the full resolution of colours', async () => {
  await using png = new PngEncoder(fails)
  const { chromaSubsampling } = await sharp(await encodePicture(png, gradient(), 'jpeg', TEXTS)).metadata()
  expect(chromaSubsampling).toBe('4:4:4')
})
