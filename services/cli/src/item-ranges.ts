import { DarkroomError } from '@darkroom/chassis'
import { includesItem, parseItemRanges } from '@darkroom/proto'

/**
 * Whether an item is one of those that `--items` names, as in 3,5-10,40-.
 * @throws DarkroomError INVALID_REQUEST that names the part
 */
export function itemsNamed(text: string): (index: number) => boolean {
  const ranges = parseItemRanges(text, Number.MAX_SAFE_INTEGER)
  if (typeof ranges === 'string') throw new DarkroomError('INVALID_REQUEST', `--items: ${ranges}`)
  return (index) => includesItem(ranges, index)
}
