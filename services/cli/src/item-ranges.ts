import { DarkroomError } from '@darkroom/chassis'

const RANGE = /^(\d+)(?:-(\d+))?$/

/**
 * Whether an item is one of `0-99,200`: numbers from 0 and ranges of them, both ends included.
 * @throws DarkroomError INVALID_REQUEST that names the part
 */
export function parseItemRanges(text: string): (index: number) => boolean {
  const ranges = text.split(',').map((part) => {
    const [, from, to = from] = RANGE.exec(part.trim()) ?? []
    if (from === undefined || Number(to) < Number(from))
      throw new DarkroomError('INVALID_REQUEST', `--items has '${part}'; want items and ranges of them, as in 0-99,200`)
    return [Number(from), Number(to)] as const
  })
  return (index) => ranges.some(([from, to]) => from <= index && index <= to)
}
