import type { ItemLine } from '@darkroom/proto'

/** A picture, and the item that it is of. */
export interface SheetCell {
  readonly line: ItemLine
  readonly seed: number
  /** Of the picture, in the bucket. */
  readonly name: string
}

/** Where a picture stands. */
interface PlacedCell {
  readonly cell: SheetCell
  readonly row: string
  readonly column: readonly string[]
}

export interface LaidOutSection {
  readonly title: string
  readonly cells: readonly PlacedCell[]
}

/** What pictures may differ in, the one that goes down before those that go across. */
const AXES: readonly ((cell: SheetCell) => string)[] = [
  ({ line }) => shortened(line.prompt ?? ''),
  ({ line }) => line.scheduler.replace(/Scheduler$/, '').replace('Discrete', ''),
  ({ line }) => `${line.numInferenceSteps} steps`,
  ({ line }) => `guidance ${Number(line.guidanceScale.toFixed(3))}`,
  ({ line }) => (line.strength === undefined ? '' : `strength ${Number(line.strength.toFixed(3))}`),
  ({ seed }) => `seed ${seed}`,
]
type Axis = (typeof AXES)[number]

const MAX_LABEL = 40
/** More would make a sheet wider than screens. */
const MAX_COLUMNS = 20
const WRAPPED_AT = 10

/**
 * Grids of the pictures of a batch: a section for each checkpoint, task and size, in it what varies first down and the rest
 * across. Pictures that are no sweep of anything stand ten to a row, as they come.
 */
export function layOut(cells: readonly SheetCell[]): LaidOutSection[] {
  const sections = Map.groupBy(cells, ({ line: { task, checkpoint, width, height } }) => {
    return `${task}, ${checkpoint.split('@')[0]}, ${width} x ${height}`
  })
  return [...sections].map(([title, ofSection]) => ({ title, cells: placed(ofSection) }))
}

function placed(cells: readonly SheetCell[]): PlacedCell[] {
  const axes = tellingAxes(cells)
  const isLine = axes.length < 2
  const down: Axis = isLine ? () => '' : axes[0]!
  const across = isLine ? axes : axes.slice(1)
  const rows = valuesOf(cells, (cell) => down(cell))
  const columns = valuesOf(cells, (cell) => across.map((axis) => axis(cell)).join('\n'))
  const isSweep = apart(cells, axes) === cells.length && cells.length * 2 > rows * columns
  if (isSweep && columns <= MAX_COLUMNS)
    return cells.map((cell) => ({ cell, row: down(cell), column: across.map((axis) => axis(cell)) }))
  if (isSweep && !isLine && rows <= MAX_COLUMNS)
    return cells.map((cell) => ({ cell, row: across.map((axis) => axis(cell)).join(', '), column: [down(cell)] }))
  return cells.map((cell, place) => {
    const first = place - (place % WRAPPED_AT)
    const last = Math.min(first + WRAPPED_AT, cells.length) - 1
    return { cell, row: `${cells[first]!.line.index}-${cells[last]!.line.index}`, column: [`+${place - first}`] }
  })
}

/** What the pictures differ in, less what follows from the rest, as guidance does where each number of steps has its own. */
function tellingAxes(cells: readonly SheetCell[]): readonly Axis[] {
  let axes = AXES.filter((axis) => valuesOf(cells, axis) > 1)
  for (const axis of axes.toReversed()) {
    const others = axes.filter((other) => other !== axis)
    if (apart(cells, others) === apart(cells, axes)) axes = others
  }
  return axes
}

/** How many of the pictures some axes tell apart. */
function apart(cells: readonly SheetCell[], axes: readonly Axis[]): number {
  return valuesOf(cells, (cell) => axes.map((axis) => axis(cell)).join('\n'))
}

function valuesOf(cells: readonly SheetCell[], of: (cell: SheetCell) => string): number {
  return new Set(cells.map(of)).size
}

function shortened(text: string): string {
  return text.length <= MAX_LABEL ? text : `${text.slice(0, MAX_LABEL - 3)}...`
}
