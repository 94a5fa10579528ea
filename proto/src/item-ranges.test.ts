import { expect, test } from 'vitest'
import {
  commonRanges,
  countItems,
  formatItemRanges,
  includesItem,
  joinRanges,
  MAX_ITEM_RANGES,
  parseItemRanges,
  rangesOf,
  withoutRanges,
} from './item-ranges.ts'

const COUNT = 24

/** The same sets as plain lists of numbers. */
function itemsOf(bits: number): number[] {
  return Array.from({ length: COUNT }, (_, item) => item).filter((item) => (bits >> item) & 1)
}

test('ranges do what sets of items do', () => {
  for (let seed = 1, state = 1; seed <= 2000; seed++) {
    const next = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 4
    const [a, b] = [itemsOf(next()), itemsOf(next() & next())]
    const [ranges, others] = [rangesOf(a), rangesOf(b)]
    const both = a.filter((item) => b.includes(item))
    expect(commonRanges(ranges, others)).toEqual(rangesOf(both))
    expect(joinRanges(ranges, others)).toEqual(rangesOf([...new Set([...a, ...b])].toSorted((x, y) => x - y)))
    expect(withoutRanges(ranges, others)).toEqual(rangesOf(a.filter((item) => !b.includes(item))))
    expect(countItems(ranges)).toBe(a.length)
    expect(itemsOf(2 ** COUNT - 1).filter((item) => includesItem(ranges, item))).toEqual(a)
    if (a.length > 0) expect(parseItemRanges(formatItemRanges(ranges), COUNT)).toEqual(ranges)
  }
})

test('runs are written as people write them, in any order, and joined', () => {
  expect(parseItemRanges('40-, 3,5-10 ,11', 50)).toEqual([
    [3, 3],
    [5, 11],
    [40, 49],
  ])
})

test.each([
  ['', "'' is neither an index nor a run of them: write such as 3,5-10,40-"],
  ['3,x', "'x' is neither an index nor a run of them: write such as 3,5-10,40-"],
  ['-3', "'-3' is neither an index nor a run of them: write such as 3,5-10,40-"],
  ['10', "'10' is beyond the batch's last item, 9"],
  ['3-10', "'3-10' is beyond the batch's last item, 9"],
  ['5-3', "'5-3' ends before it begins"],
])('%j is refused with what is wrong', (text, why) => {
  expect(parseItemRanges(text, 10)).toBe(why)
})

test('more runs than a batch keeps are refused', () => {
  const many = Array.from({ length: MAX_ITEM_RANGES + 1 }, (_, n) => 2 * n)
  expect(parseItemRanges(many.join(','), 10_000)).toBe(`${MAX_ITEM_RANGES + 1} runs are more than ${MAX_ITEM_RANGES}`)
})
