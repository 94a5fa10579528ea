import sharp from 'sharp'
import { expect, test, vi } from 'vitest'
import { drawContactSheet } from './draw.ts'

const plain = (background: string, side: number) => () =>
  sharp({ create: { width: side, height: side, channels: 3, background } })
    .png()
    .toBuffer()

/** Where on the sheet every pixel of a colour is: left, top, right, bottom. */
async function boxOf(sheet: Buffer, [r, g, b]: readonly [number, number, number]): Promise<number[]> {
  const { data, info } = await sharp(sheet).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const xs: number[] = []
  const ys: number[] = []
  for (let i = 0; i < info.width * info.height; i++) {
    if (data[3 * i] !== r || data[3 * i + 1] !== g || data[3 * i + 2] !== b) continue
    xs.push(i % info.width)
    ys.push(Math.floor(i / info.width))
  }
  return [xs, ys]
    .map((list) => list.reduce((a, c) => Math.min(a, c), Infinity))
    .concat([xs, ys].map((list) => list.reduce((a, c) => Math.max(a, c), -Infinity)))
}

test('pictures of one row stand side by side, of one column below each other, whatever their size', async () => {
  const red = plain('#ff0000', 64)
  const green = plain('#00ff00', 32)
  const blue = plain('#0000ff', 64)
  const columns = { left: ['PNDM', '20 steps'], right: ['PNDM', '30 steps'] }
  const sheet = await drawContactSheet('A sheet', [
    {
      title: 'prompts',
      pictures: [
        { read: red, row: 'a cat', column: columns.left },
        { read: green, row: 'a cat', column: columns.right },
        { read: blue, row: 'a dog', column: columns.left },
      ],
    },
  ])
  const [redLeft, redTop, redRight, redBottom] = await boxOf(sheet, [255, 0, 0])
  const [greenLeft, greenTop, greenRight, greenBottom] = await boxOf(sheet, [0, 255, 0])
  const [blueLeft, blueTop] = await boxOf(sheet, [0, 0, 255])
  expect([redRight! - redLeft! + 1, redBottom! - redTop! + 1]).toEqual([128, 128])
  expect([greenRight! - greenLeft! + 1, greenBottom! - greenTop! + 1]).toEqual([128, 128])
  expect(greenTop).toBe(redTop)
  expect(greenLeft).toBeGreaterThan(redRight!)
  expect(blueLeft).toBe(redLeft)
  expect(blueTop).toBeGreaterThan(redBottom!)
})

test('a sheet is wide enough for its heading and its columns are in line from section to section', async () => {
  const red = plain('#ff0000', 64)
  const blue = plain('#0000ff', 32)
  const sheet = await drawContactSheet('A heading that is wider than one picture and its label', [
    { title: 'one', pictures: [{ read: red, row: 'a', column: ['x'] }] },
    { title: 'two', pictures: [{ read: blue, row: 'a much longer label', column: ['seed 1'] }] },
  ])
  const [redLeft, , , redBottom] = await boxOf(sheet, [255, 0, 0])
  const [blueLeft, blueTop] = await boxOf(sheet, [0, 0, 255])
  expect(blueLeft).toBe(redLeft)
  expect(blueTop).toBeGreaterThan(redBottom!)
  const { width } = await sharp(sheet).metadata()
  expect(width).toBeGreaterThan(54 * 6 * 4)
})

test('grey pictures and those with an alpha channel stand on it in their colours', async () => {
  const grey = () =>
    sharp({ create: { width: 8, height: 8, channels: 3, background: '#0a0a0a' } })
      .greyscale()
      .png()
      .toBuffer()
  const withAlpha = () =>
    sharp({ create: { width: 8, height: 8, channels: 4, background: { r: 0, g: 200, b: 100, alpha: 1 } } })
      .png()
      .toBuffer()
  const sheet = await drawContactSheet('A sheet', [
    {
      title: 'two',
      pictures: [
        { read: grey, row: 'a', column: ['x'] },
        { read: withAlpha, row: 'a', column: ['y'] },
      ],
    },
  ])
  for (const colour of [[10, 10, 10] as const, [0, 200, 100] as const]) {
    const [left, , right] = await boxOf(sheet, colour)
    expect(right! - left! + 1).toBe(128)
  }
})

test('a sheet of very many kinds of pictures is refused before any is read, with what fetches them', async () => {
  const read = vi.fn<() => Promise<null>>(async () => null)
  const wide = Array.from({ length: 20 }, (_, n) => ({
    read,
    row: 'a',
    column: [`a head of forty letters, number ${n}`],
  }))
  const kinds = Array.from({ length: 380 }, (_, n) => ({
    title: `kind ${n}`,
    pictures: [{ read, row: '', column: ['x'] }],
  }))
  const drawing = drawContactSheet('A sheet', [{ title: 'wide', pictures: wide }, ...kinds])
  await expect(drawing).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: expect.stringMatching(/381 kinds of pictures.*darkroom download/),
  })
  expect(read).not.toHaveBeenCalled()
})
