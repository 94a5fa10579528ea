import sharp from 'sharp'
import { expect, test } from 'vitest'
import { readPngText, withPngText } from './png-text.ts'

const picture = (): Promise<Buffer> =>
  sharp({ create: { width: 3, height: 2, channels: 3, background: 'teal' } }).png().toBuffer() // prettier-ignore

test('texts of any letters are read back, and the pixels stay', async () => {
  const png = await picture()
  const texts = { parameters: 'café\nSteps: 20', darkroom: '{"prompt":"日本 😀\\n\\""}', empty: '' }
  const marked = withPngText(png, texts)
  expect(await readPngText(marked)).toEqual(texts)
  const [plain, pixels] = await Promise.all([png, marked].map((bytes) => sharp(bytes).raw().toBuffer()))
  expect(pixels).toEqual(plain)
})

test('a long text is read whole', async () => {
  const texts = { darkroom: `日${'x'.repeat(300_000)}` }
  expect(await readPngText(withPngText(await picture(), texts))).toEqual(texts)
})

test('a PNG without texts has none, and other files are refused', async () => {
  expect(await readPngText(await picture())).toEqual({})
  await expect(readPngText(Buffer.from('no picture'))).rejects.toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' })
  const cut = (await picture()).subarray(0, 20)
  await expect(readPngText(cut)).rejects.toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' })
})
