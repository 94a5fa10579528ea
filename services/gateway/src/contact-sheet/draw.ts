import { DarkroomError } from '@darkroom/chassis'
import sharp from 'sharp'
import { ADVANCE, dotsOf, GLYPH_HEIGHT } from './font.ts'

/** One picture and where it belongs. */
interface SheetPicture {
  /** Its bytes, read when it is drawn. Null where it is gone. */
  readonly read: () => Promise<Uint8Array | null>
  readonly row: string
  /** Lines of the column's head; a first line that neighbours share stands once over them. */
  readonly column: readonly string[]
}

export interface SheetSection {
  readonly title: string
  readonly pictures: readonly SheetPicture[]
}

type Colour = readonly [number, number, number]

const CELL = 128
const GAP = 8
const MARGIN = 28
const HEADING_SCALE = 4
const TEXT_SCALE = 2
const LINE = GLYPH_HEIGHT * TEXT_SCALE + 4
const INK: Colour = [28, 32, 40]
const QUIET: Colour = [104, 112, 124]
const PAPER: Colour = [246, 247, 249]
/** Twice what a grid of 20 by 20 has with the longest heads. Three bytes each are held. */
const MAX_PIXELS = 64_000_000

/**
 * Draws labelled grids of pictures, one section under the other with their columns in line: a PNG. The sheet is held, and one
 * picture at a time.
 * @throws DarkroomError INVALID_REQUEST where it would be too large, as one of very many sections is
 */
export async function drawContactSheet(heading: string, sections: readonly SheetSection[]): Promise<Buffer> {
  const grids = sections.map(gridOf)
  const labelWidth = Math.max(...grids.flatMap(({ rows }) => rows.map((row) => textWidth(row, TEXT_SCALE)))) + 2 * GAP
  const columns = Math.max(...grids.map((grid) => grid.columns.length))
  const pitch = Math.max(CELL, ...grids.map(headWidth)) + GAP
  const top = MARGIN + GLYPH_HEIGHT * HEADING_SCALE + 3 * GAP
  const width = Math.max(textWidth(heading, HEADING_SCALE), labelWidth + columns * pitch - GAP) + 2 * MARGIN
  const height = grids.reduce((sum, grid) => sum + grid.height, top) + MARGIN
  if (width * height > MAX_PIXELS)
    throw new DarkroomError(
      'INVALID_REQUEST',
      `a sheet of ${grids.length} kinds of pictures would be ${width} x ${height} pixels, too large to draw: darkroom download fetches them one by one`,
    )
  const canvas = new Canvas(width, height)
  canvas.text(heading, MARGIN, MARGIN, HEADING_SCALE, INK)
  let sectionTop = top
  for (const grid of grids) {
    const left = (column: number): number => MARGIN + labelWidth + column * pitch
    const cells = sectionTop + grid.headHeight
    canvas.text(grid.title, MARGIN, sectionTop, TEXT_SCALE, QUIET)
    for (const [c, lines] of grid.columns.entries()) {
      for (const [l, line] of lines.entries()) {
        const isShared = l === 0 && lines.length > 1
        if (isShared && grid.columns[c - 1]?.[0] === line) continue
        canvas.text(line, left(c), sectionTop + (l + 1) * LINE + GAP, TEXT_SCALE, isShared ? INK : QUIET)
      }
    }
    for (const [r, row] of grid.rows.entries()) {
      const middle = cells + r * (CELL + GAP) + (CELL - GLYPH_HEIGHT * TEXT_SCALE) / 2
      canvas.text(row, MARGIN, middle, TEXT_SCALE, INK)
    }
    for (const { read, row, column } of grid.pictures) {
      const bytes = await read()
      if (bytes === null) continue
      const tile = await sharp(bytes)
        .resize(CELL, CELL, { kernel: 'lanczos3' })
        .removeAlpha()
        .toColourspace('srgb')
        .raw()
        .toBuffer()
      canvas.paste(tile, CELL, left(column), cells + row * (CELL + GAP))
    }
    sectionTop += grid.height
  }
  return sharp(canvas.pixels, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer()
}

interface Grid {
  readonly title: string
  readonly rows: readonly string[]
  readonly columns: readonly (readonly string[])[]
  readonly pictures: readonly { readonly read: SheetPicture['read']; readonly row: number; readonly column: number }[]
  /** Title and column heads. */
  readonly headHeight: number
  readonly height: number
}

function gridOf({ title, pictures }: SheetSection): Grid {
  const rows = [...new Set(pictures.map(({ row }) => row))]
  const heads = [...new Set(pictures.map(({ column }) => column.join('\n')))]
  const columns = heads.map((head) => head.split('\n'))
  const headHeight = (1 + Math.max(...columns.map((lines) => lines.length))) * LINE + 2 * GAP
  return {
    title,
    rows,
    columns,
    pictures: pictures.map(({ read, row, column }) => ({
      read,
      row: rows.indexOf(row),
      column: heads.indexOf(column.join('\n')),
    })),
    headHeight,
    height: headHeight + rows.length * (CELL + GAP) + 2 * GAP,
  }
}

/** What the heads ask of each column, those that several share of all of these together. */
function headWidth({ columns }: Grid): number {
  const widths = columns.flatMap((lines) =>
    lines.map((line, l) => {
      const isShared = l === 0 && lines.length > 1
      const span = isShared ? columns.filter(([first]) => first === line).length : 1
      return Math.ceil((textWidth(line, TEXT_SCALE) + GAP) / span)
    }),
  )
  return Math.max(0, ...widths)
}

function textWidth(text: string, scale: number): number {
  return text.length * ADVANCE * scale
}

/** Paper to write on and to stick pictures to: three bytes a pixel. */
class Canvas {
  readonly pixels: Buffer
  readonly #width: number

  constructor(width: number, height: number) {
    this.#width = width
    this.pixels = Buffer.alloc(width * height * 3, Uint8Array.from(PAPER))
  }

  text(text: string, left: number, top: number, scale: number, colour: Colour): void {
    for (const [x, y] of dotsOf(text)) {
      for (let dy = 0; dy < scale; dy++) {
        for (let dx = 0; dx < scale; dx++)
          this.pixels.set(colour, this.#at(left + x * scale + dx, top + y * scale + dy))
      }
    }
  }

  /** A square of three bytes a pixel. */
  paste(square: Buffer, side: number, left: number, top: number): void {
    for (let y = 0; y < side; y++) square.copy(this.pixels, this.#at(left, top + y), y * side * 3, (y + 1) * side * 3)
  }

  #at(x: number, y: number): number {
    return 3 * (y * this.#width + x)
  }
}
