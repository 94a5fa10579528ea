import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import type { PictureTexts } from './exif.ts'
import { withPngText } from './png.ts'
import { readPictureTexts } from './read-picture-texts.ts'
import { withJpegExif, withWebpExif } from './with-exif.ts'

const SIZE = { width: 3, height: 2 }

/** A picture without texts, and the same one with them. */
async function picturesOf(format: string, texts: PictureTexts): Promise<readonly [Buffer, Buffer]> {
  const picture = sharp({ create: { ...SIZE, channels: 3, background: 'teal' } })
  if (format === 'png') {
    const png = await picture.png().toBuffer()
    return [png, withPngText(png, { ...texts })]
  }
  if (format === 'jpeg') {
    const jpeg = await picture.jpeg().toBuffer()
    return [jpeg, withJpegExif(jpeg, texts)]
  }
  const webp = await picture.webp().toBuffer()
  return [webp, withWebpExif(webp, SIZE, texts)]
}

describe.for(['png', 'jpeg', 'webp'])('in a %s', (format) => {
  test('texts of any letters are read back, and the pixels stay', async () => {
    for (const texts of [
      { parameters: 'café 😀\nSteps: 20', darkroom: '{"prompt":"日本 😀\\n\\"("}' },
      { parameters: 'a cat\nSteps: 20', darkroom: '{}' },
      { parameters: '', darkroom: `{"prompt":"日${'x'.repeat(40_000)}"}` },
    ]) {
      const [plain, marked] = await picturesOf(format, texts)
      const { darkroom, parameters } = await readPictureTexts(marked)
      expect(parameters).toBe(texts.parameters)
      expect(JSON.parse(darkroom!)).toEqual(JSON.parse(texts.darkroom))
      expect(await sharp(marked, { failOn: 'warning' }).raw().toBuffer()).toEqual(await sharp(plain).raw().toBuffer())
    }
  })

  test('none are found where a program left them out, and a file that is cut off is refused', async () => {
    const [plain, marked] = await picturesOf(format, { parameters: '', darkroom: '{}' })
    expect(await readPictureTexts(plain)).toEqual({})
    const cut = marked.subarray(0, 10)
    await expect(readPictureTexts(cut)).rejects.toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' })
  })
})

test('EXIF that another program wrote anew, in the other order of bytes, is read', async () => {
  const jpeg = await sharp({ create: { ...SIZE, channels: 3, background: 'teal' } })
    .jpeg()
    .withExif({ IFD0: { ImageDescription: '{"item":{}}', Copyright: 'me' }, IFD2: { UserComment: 'a cat' } })
    .toBuffer()
  const { exif } = await sharp(jpeg).metadata()
  expect(exif?.toString('latin1', 6, 8)).toBe('II')
  expect(await readPictureTexts(jpeg)).toEqual({ darkroom: '{"item":{}}', parameters: 'a cat' })
})

test('texts that no JPEG has room for are refused with what to do', async () => {
  const texts = { parameters: '', darkroom: 'x'.repeat(65_500) }
  await expect(picturesOf('jpeg', texts)).rejects.toThrow(/ask for png or webp/)
})

test('other files are refused', async () => {
  const gif = await sharp({ create: { ...SIZE, channels: 3, background: 'teal' } }).gif().toBuffer() // prettier-ignore
  for (const file of [Buffer.from('no picture'), gif]) {
    await expect(readPictureTexts(file)).rejects.toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' })
  }
})
