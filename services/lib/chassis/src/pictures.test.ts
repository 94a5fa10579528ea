import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { DarkroomError } from './errors.ts'
import { decodePicture, inspectPicture, PICTURE_LIMITS } from './pictures.ts'

const COLOUR = { r: 200, g: 100, b: 50 }

function plain(width = 6, height = 4) {
  return sharp({ create: { width, height, channels: 3, background: COLOUR } })
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
  test('by its header alone where it has too many pixels', async () => {
    // Says 30000x30000 and has no pixels at all: whoever decoded it would complain of something else.
    const bomb = Buffer.from(await plain().png().toBuffer())
    bomb.writeUInt32BE(30_000, 16)
    bomb.writeUInt32BE(30_000, 20)
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29)
    expect(await refusal(bomb)).toBe(
      `PAYLOAD_TOO_LARGE: the picture is 30000x30000; want at most ${PICTURE_LIMITS.pixels} pixels`,
    )
  })

  test('where it has too many bytes, is another format, moves, or is none', async () => {
    expect(await refusal(new Uint8Array(PICTURE_LIMITS.bytes + 1))).toMatch(
      /^PAYLOAD_TOO_LARGE: .*want at most 20971520/,
    )
    expect(await refusal(await plain().gif().toBuffer())).toMatch(/^UNSUPPORTED_MEDIA_TYPE: .*gif.*PNG, JPEG or WebP/)
    expect(await refusal(Buffer.from('<svg width="9" height="9"/>'))).toMatch(/^UNSUPPORTED_MEDIA_TYPE/)
    expect(await refusal(Buffer.from('no picture'))).toMatch(/^UNSUPPORTED_MEDIA_TYPE/)
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
