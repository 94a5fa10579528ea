import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { DarkroomError } from './errors.ts'
import { decodePicture, inspectPicture, PICTURE_LIMITS } from './pictures.ts'

const COLOUR = { r: 200, g: 100, b: 50 }

function plain(width = 6, height = 4) {
  return sharp({ create: { width, height, channels: 3, background: COLOUR } })
}

/** A PNG that says it has this size and has other pixels: whoever decoded it would complain of something else. */
async function claiming(width: number, height: number): Promise<Buffer> {
  const png = Buffer.from(await plain().png().toBuffer())
  png.writeUInt32BE(width, 16)
  png.writeUInt32BE(height, 20)
  png.writeUInt32BE(crc32(png.subarray(12, 29)), 29)
  return png
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const refused = (reason: unknown): string =>
    `${DarkroomError.from(reason).code}: ${DarkroomError.from(reason).message}`
  const [inspected, decoded] = await Promise.all([
    inspectPicture(bytes).then(() => 'accepted', refused),
    decodePicture(bytes).then(() => 'accepted', refused),
  ])
  expect(decoded).toBe(inspected)
  return inspected
}

describe('a picture is decoded to upright RGB', () => {
  test.for([
    ['PNG', () => plain().png()],
    ['PNG with a palette', () => plain().png({ palette: true })],
    ['PNG of 16 bits', () => plain().toColourspace('rgb16').png()],
    ['PNG with alpha', () => plain().ensureAlpha(0.25).png()],
    ['JPEG', () => plain().jpeg({ quality: 100 })],
    ['WebP', () => plain().webp({ lossless: true })],
  ] as const)('%s', async ([, encoded]) => {
    const { width, height, channels, data } = await decodePicture(await encoded().toBuffer())
    expect([width, height, channels, data.length]).toEqual([6, 4, 3, 72])
    for (const [i, level] of [COLOUR.r, COLOUR.g, COLOUR.b].entries())
      expect(Math.abs(data[i]! - level)).toBeLessThanOrEqual(2)
  })

  test('grey in three channels', async () => {
    const grey = await plain().greyscale().png().toBuffer()
    const { data } = await decodePicture(grey)
    expect(data).toHaveLength(72)
    expect([data[1], data[2]]).toEqual([data[0], data[0]])
  })

  test('turned as its EXIF says, in its facts as in its pixels', async () => {
    const turned = await plain(6, 4).jpeg().withMetadata({ orientation: 6 }).toBuffer()
    expect(await inspectPicture(turned)).toEqual({ contentType: 'image/jpeg', width: 4, height: 6 })
    expect(await decodePicture(turned)).toMatchObject({ width: 4, height: 6 })
  })
})

describe('a picture is refused', () => {
  test('by its header alone where it has too many pixels, or a side has', async () => {
    const { pixels, side } = PICTURE_LIMITS
    for (const [width, height, wanted] of [
      [5_000, 4_000, `${pixels} pixels`],
      [2 ** 24, 1, `${side} pixels a side`],
      [1, side + 1, `${side} pixels a side`],
    ] as const) {
      const bomb = await claiming(width, height)
      expect(await refusal(bomb)).toBe(`PAYLOAD_TOO_LARGE: the picture is ${width}x${height}; want at most ${wanted}`)
    }
    expect(await inspectPicture(await claiming(side, 1024))).toMatchObject({ width: side, height: 1024 })
  })

  test('where it has too many bytes, is another format, moves, or is none', async () => {
    expect(await refusal(new Uint8Array(PICTURE_LIMITS.bytes + 1))).toMatch(
      /^PAYLOAD_TOO_LARGE: .*want at most 20971520/,
    )
    const others = [await plain().gif().toBuffer(), await plain().tiff().toBuffer()]
    for (const other of [...others, Buffer.from('<svg width="9" height="9"/>'), Buffer.from('RIFF'), Buffer.alloc(0)])
      expect(await refusal(other)).toMatch(/^UNSUPPORTED_MEDIA_TYPE: .*want PNG, JPEG or WebP/)
    const onlySigned = Buffer.concat([(await plain().png().toBuffer()).subarray(0, 8), Buffer.from('<svg width="9"/>')])
    expect(await refusal(onlySigned)).toBe('INVALID_REQUEST: the picture is broken: its header cannot be read')
    const frames = [await plain().png().toBuffer(), await plain().negate().png().toBuffer()]
    const moving = await sharp(frames, { join: { animated: true } })
      .webp()
      .toBuffer()
    expect(await refusal(moving)).toMatch(/^INVALID_REQUEST: .*2 frames/)
  })

  test('where its end is missing', async () => {
    const noise = sharp({
      create: {
        width: 64,
        height: 64,
        channels: 3,
        background: 'white',
        noise: { type: 'gaussian', mean: 128, sigma: 60 },
      },
    })
    const whole = await noise.png().toBuffer()
    await expect(decodePicture(whole.subarray(0, whole.length / 2))).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })
})
