import { DarkroomError } from '@darkroom/chassis'

/** Options of which several values may be given, with commas: an item is made for each combination. */
const AXES = {
  scheduler: (text: string): readonly (string | number)[] => [text],
  numInferenceSteps: numbers,
  guidanceScale: numbers,
  seed: numbers,
} as const
type Axis = keyof typeof AXES

type Defaults = Readonly<Record<string, string>>
type Item = Readonly<Record<string, string | number>>

const MAX_ITEMS = 100_000
const RANGE = /^(\d+)-(\d+)$/

/** Whether some option has several values. */
export function isSweep(defaults: Defaults): boolean {
  return Object.keys(AXES).some((axis) => valuesOf(axis as Axis, defaults[axis]).length > 1)
}

/**
 * Every combination of what the options list, for each prompt, with names that say it; and the options that have one value.
 * @throws DarkroomError INVALID_REQUEST for more items than anybody means
 */
export function sweep(prompts: readonly string[], defaults: Defaults): { items: Item[]; defaults: Defaults } {
  const swept = (Object.keys(AXES) as Axis[])
    .map((axis) => ({ axis, values: valuesOf(axis, defaults[axis]) }))
    .filter(({ values }) => values.length > 1)
  const count = swept.reduce((product, { values }) => product * values.length, Math.max(1, prompts.length))
  if (count > MAX_ITEMS) {
    throw new DarkroomError(
      'INVALID_REQUEST',
      `the sweep has ${count} items, more than ${MAX_ITEMS}: list fewer values`,
    )
  }
  let items: { name: string; item: Item }[] =
    prompts.length === 0 ? [{ name: '', item: {} }] : prompts.map((prompt, i) => ({ name: `p${i}`, item: { prompt } }))
  for (const { axis, values } of swept)
    items = items.flatMap(({ name, item }) =>
      values.map((value) => ({ name: [name, value].filter(String).join(' '), item: { ...item, [axis]: value } })),
    )
  return {
    items: items.map(({ name, item }) => ({ customId: name, ...item })),
    defaults: Object.fromEntries(
      Object.entries(defaults).filter(([field]) => !swept.some(({ axis }) => axis === field)),
    ),
  }
}

function valuesOf(axis: Axis, text: string | undefined): readonly (string | number)[] {
  return (text ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : AXES[axis](part.trim())))
}

/** `7`, or `0-9`. What is no number goes as it is, and the gateway says so. */
function numbers(text: string): readonly (string | number)[] {
  const [, from, to] = RANGE.exec(text) ?? []
  if (to === undefined) return [Number.isNaN(Number(text)) ? text : Number(text)]
  const [first, last] = [Number(from), Number(to)]
  return last - first >= MAX_ITEMS ? [text] : Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
