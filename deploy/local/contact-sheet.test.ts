import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeContactSheet } from './contact-sheet.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'darkroom-sheet-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function plain(name: string, background: string, side: number): Promise<string> {
  const file = path.join(folder, `${name}.png`)
  await sharp({ create: { width: side, height: side, channels: 3, background } })
    .png()
    .toFile(file)
  return file
}

/** Where on the sheet every pixel of a colour is: left, top, right, bottom. */
async function boxOf(sheet: string, [r, g, b]: readonly [number, number, number]): Promise<number[]> {
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
  const sheet = path.join(folder, 'sheet.png')
  const red = await plain('red', '#ff0000', 64)
  const green = await plain('green', '#00ff00', 32)
  const blue = await plain('blue', '#0000ff', 64)
  const columns = { left: ['PNDM', '20 steps'], right: ['PNDM', '30 steps'] }
  await writeContactSheet(sheet, 'A sheet', [
    {
      title: 'prompts',
      pictures: [
        { file: red, row: 'a cat', column: columns.left },
        { file: green, row: 'a cat', column: columns.right },
        { file: blue, row: 'a dog', column: columns.left },
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
  const sheet = path.join(folder, 'sheet.png')
  const red = await plain('red', '#ff0000', 64)
  const blue = await plain('blue', '#0000ff', 32)
  await writeContactSheet(sheet, 'A heading that is wider than one picture and its label', [
    { title: 'one', pictures: [{ file: red, row: 'a', column: ['x'] }] },
    { title: 'two', pictures: [{ file: blue, row: 'a much longer label', column: ['seed 1'] }] },
  ])
  const [redLeft, , , redBottom] = await boxOf(sheet, [255, 0, 0])
  const [blueLeft, blueTop] = await boxOf(sheet, [0, 0, 255])
  expect(blueLeft).toBe(redLeft)
  expect(blueTop).toBeGreaterThan(redBottom!)
  const { width } = await sharp(sheet).metadata()
  expect(width).toBeGreaterThan(54 * 6 * 4)
})
