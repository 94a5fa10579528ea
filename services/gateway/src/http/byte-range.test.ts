import { expect, test } from 'vitest'
import { parseByteRange } from './byte-range.ts'

test.for([
  ['bytes=0-9', { start: 0, endInclusive: 9 }],
  ['bytes=90-', { start: 90, endInclusive: 99 }],
  ['bytes=90-1000', { start: 90, endInclusive: 99 }],
  ['bytes=-10', { start: 90, endInclusive: 99 }],
  ['bytes=-1000', { start: 0, endInclusive: 99 }],
  ['bytes=100-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=9-3', null],
  ['bytes=0-1,5-6', null],
  ['items=0-1', null],
  [undefined, null],
] as const)('%s of 100 bytes', ([header, range]) => {
  expect(parseByteRange(header, 100)).toEqual(range)
})
