import type { Problem } from '@darkroom/chassis'

const MAX_PROBLEMS = 20
const SHOWN_CHARACTERS = 80

/** What is wrong with one batch: the first twenty problems, in the order of the body. */
export class Problems {
  readonly #found: Problem[] = []

  add(problem: Problem): void {
    if (!this.isFull) this.#found.push(problem)
  }

  get list(): readonly Problem[] {
    return this.#found
  }

  get isEmpty(): boolean {
    return this.#found.length === 0
  }

  get isFull(): boolean {
    return this.#found.length >= MAX_PROBLEMS
  }
}

/** A given value as a problem may repeat it: short, printable, and never walked into, however deep it is. */
export function shown(value: unknown): string | number | boolean | null {
  if (typeof value === 'string') {
    const text = value.toWellFormed()
    return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS).toWellFormed()}…`
  }
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value
  return Array.isArray(value) ? '[…]' : '{…}'
}

/** `; did you mean X?`, or nothing where no name is near. */
export function suggestion(given: string, names: readonly string[]): string {
  const name = nearestName(given, names)
  return name === null ? '' : `; did you mean ${JSON.stringify(name)}?`
}

/** The name that was probably meant: part of one, or a few keystrokes away. */
export function nearestName(given: string, names: readonly string[]): string | null {
  const wanted = plain(given)
  if (wanted === '' || wanted.length > SHOWN_CHARACTERS) return null
  const part = names.find((name) => plain(name).startsWith(wanted))
  if (part !== undefined) return part
  const [best] = names
    .map((name) => ({ name, distance: editDistance(wanted, plain(name)) }))
    .sort((a, b) => a.distance - b.distance)
  return best !== undefined && best.distance <= Math.max(1, wanted.length / 3) ? best.name : null
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

/** Levenshtein distance in which a swap of two neighbours counts once, row by row. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : Infinity
      next.push(Math.min(replaced, swapped, row[j]! + 1, next[j - 1]! + 1))
    }
    before = row
    row = next
  }
  return row[b.length]!
}
