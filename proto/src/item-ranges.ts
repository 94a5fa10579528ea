import type { ItemRange } from '../gen/darkroom/v1/item_pb.ts'

/** Items of a batch, first and last index of each run: ascending, apart by at least one, as all of these functions leave them. */
export type ItemRanges = readonly (readonly [first: number, last: number])[]

/** What a batch keeps of a kind; beyond that whole batches are the better handle. */
export const MAX_ITEM_RANGES = 1000

/** In order, and joined where they touch. */
function normalRanges(ranges: ItemRanges): ItemRanges {
  const normal: [number, number][] = []
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const before = normal.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else normal.push([first, last])
  }
  return normal
}

/** @param items ascending */
export function rangesOf(items: readonly number[]): ItemRanges {
  return normalRanges(items.map((item) => [item, item]))
}

export function joinRanges(a: ItemRanges, b: ItemRanges): ItemRanges {
  return normalRanges([...a, ...b])
}

/** Those of `a` that are not in `b`. */
export function withoutRanges(a: ItemRanges, b: ItemRanges): ItemRanges {
  const left: [number, number][] = []
  let next = 0
  for (const [first, last] of a) {
    while (next < b.length && b[next]![1] < first) next++
    let from = first
    for (let i = next; i < b.length && b[i]![0] <= last; i++) {
      if (from < b[i]![0]) left.push([from, b[i]![0] - 1])
      from = b[i]![1] + 1
    }
    if (from <= last) left.push([from, last])
  }
  return left
}

/** Those of both. */
export function commonRanges(a: ItemRanges, b: ItemRanges): ItemRanges {
  const common: [number, number][] = []
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const first = Math.max(a[i]![0], b[j]![0])
    const last = Math.min(a[i]![1], b[j]![1])
    if (first <= last) common.push([first, last])
    if (a[i]![1] < b[j]![1]) i++
    else j++
  }
  return common
}

export function countItems(ranges: ItemRanges): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
}

export function includesItem(ranges: ItemRanges, item: number): boolean {
  return ranges.some(([first, last]) => first <= item && item <= last)
}

/** As messages carry them. */
export function rangesToMessages(ranges: ItemRanges): Pick<ItemRange, 'first' | 'last'>[] {
  return ranges.map(([first, last]) => ({ first, last }))
}

export function rangesOfMessages(messages: readonly Pick<ItemRange, 'first' | 'last'>[]): ItemRanges {
  return normalRanges(messages.map(({ first, last }) => [first, last]))
}

/**
 * Reads what people write: `3`, `5-10`, `3,5-10,40-`. A run without an end goes to the batch's.
 * @returns the ranges, or why they are none, for a message that begins with the field's name
 */
export function parseItemRanges(text: string, itemCount: number): ItemRanges | string {
  const ranges: [number, number][] = []
  for (const part of text.split(',')) {
    const match = /^(\d+)(?:\s*(-)(?:\s*(\d+))?)?$/.exec(part.trim())
    if (match === null) return `'${part}' is neither an index nor a run of them: write such as 3,5-10,40-`
    const first = Number(match[1])
    const last = match[3] !== undefined ? Number(match[3]) : match[2] === undefined ? first : itemCount - 1
    if (first >= itemCount || last >= itemCount)
      return `'${part.trim()}' is beyond the batch's last item, ${itemCount - 1}`
    if (last < first) return `'${part.trim()}' ends before it begins`
    ranges.push([first, last])
  }
  const normal = normalRanges(ranges)
  return normal.length > MAX_ITEM_RANGES ? `${normal.length} runs are more than ${MAX_ITEM_RANGES}` : normal
}

/** As `parseItemRanges` reads it. */
export function formatItemRanges(ranges: ItemRanges): string {
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}
