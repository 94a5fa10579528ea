import sharp from 'sharp'
import { ADVANCE, dotsOf, GLYPH_HEIGHT } from './sheet-font.ts'

/** One picture and where it belongs. */
export interface SheetPicture {
  readonly file: string
  readonly row: string
  readonly column: string
}

export interface SheetSection {
  readonly title: string
  readonly pictures: readonly SheetPicture[]
}

type Colour = readonly [number, number, number]

const CELL = 96
const GAP = 8
const MARGIN = 24
const INK: Colour = [28, 32, 40]
const QUIET: Colour = [110, 118, 130]
const PAPER = '#f6f7f9'

/** Draws labelled grids of pictures, one section under the other, into a PNG. */
export async function writeContactSheet(
  file: string,
  heading: string,
  sections: readonly SheetSection[],
): Promise<void> {
  const layouts = sections.map(layOut)
  const width = Math.max(textWidth(heading, 3), ...layouts.map(({ width: w }) => w)) + 2 * MARGIN
  const height = 2 * MARGIN + 3 * GLYPH_HEIGHT + layouts.reduce((sum, { height: h }) => sum + 3 * GAP + h, 0)
  const canvas = new Canvas(width, height)
  canvas.text(heading, MARGIN, MARGIN, 3, INK)
  const composed: { input: Buffer; left: number; top: number }[] = []
  let top = MARGIN + 3 * GLYPH_HEIGHT + 3 * GAP
  for (const { section, rows, columns, labelWidth, headHeight, height: h } of layouts) {
    canvas.text(section.title, MARGIN, top, 2, INK)
    const grid = top + 2 * GLYPH_HEIGHT + 2 * GAP
    for (const [c, column] of columns.entries()) {
      const x = MARGIN + labelWidth + c * (CELL + GAP)
      for (const [l, line] of column.split('\n').entries())
        canvas.text(line, x, grid + l * (GLYPH_HEIGHT + 4), 1, QUIET)
    }
    for (const [r, row] of rows.entries()) {
      canvas.text(row, MARGIN, grid + headHeight + r * (CELL + GAP) + (CELL - 2 * GLYPH_HEIGHT) / 2, 2, INK)
    }
    for (const { file: picture, row, column } of section.pictures) {
      const input = await sharp(picture).resize(CELL, CELL, { kernel: 'lanczos3' }).png().toBuffer()
      const left = MARGIN + labelWidth + columns.indexOf(column) * (CELL + GAP)
      composed.push({ input, left, top: grid + headHeight + rows.indexOf(row) * (CELL + GAP) })
    }
    top += h + 3 * GAP
  }
  const ink = sharp(canvas.pixels, { raw: { width, height, channels: 4 } }).png()
  await sharp({ create: { width, height, channels: 3, background: PAPER } })
    .composite([{ input: await ink.toBuffer(), left: 0, top: 0 }, ...composed])
    .png({ compressionLevel: 9 })
    .toFile(file)
}

function layOut(section: SheetSection) {
  const rows = [...new Set(section.pictures.map(({ row }) => row))]
  const columns = [...new Set(section.pictures.map(({ column }) => column))]
  const labelWidth = Math.max(...rows.map((row) => textWidth(row, 2))) + 2 * GAP
  const headHeight = Math.max(...columns.map((column) => column.split('\n').length)) * (GLYPH_HEIGHT + 4) + GAP
  return {
    section,
    rows,
    columns,
    labelWidth,
    headHeight,
    width: Math.max(labelWidth + columns.length * (CELL + GAP), textWidth(section.title, 2)),
    height: 2 * GLYPH_HEIGHT + 2 * GAP + headHeight + rows.length * (CELL + GAP),
  }
}

function textWidth(text: string, scale: number): number {
  return text.length * ADVANCE * scale
}

/** Transparent pixels to write on. */
class Canvas {
  readonly pixels: Buffer
  readonly #width: number

  constructor(width: number, height: number) {
    this.#width = width
    this.pixels = Buffer.alloc(width * height * 4)
  }

  text(text: string, left: number, top: number, scale: number, [r, g, b]: Colour): void {
    for (const [x, y] of dotsOf(text)) {
      for (let dy = 0; dy < scale; dy++) {
        for (let dx = 0; dx < scale; dx++) {
          const at = 4 * ((Math.round(top) + y * scale + dy) * this.#width + left + x * scale + dx)
          this.pixels.set([r, g, b, 255], at)
        }
      }
    }
  }
}
