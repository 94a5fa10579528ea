import { expect, test } from 'vitest'
import { createBatchId, isBatchId } from './batch-id.ts'

test('ids of later milliseconds sort behind earlier ones', () => {
  const times = [0, 1, 31, 32, 1_790_000_000_000, 1_790_000_000_001, 2 ** 41]
  const ids = times.map((time) => createBatchId(new Date(time)))
  expect(ids.toSorted()).toEqual(ids)
  expect(ids.filter(isBatchId)).toEqual(ids)
})

test('ids of one millisecond differ', () => {
  const now = new Date()
  expect(new Set(Array.from({ length: 1000 }, () => createBatchId(now))).size).toBe(1000)
})

test.for(['', 'b', '../b01m83g56p8fv855p67cvp', 'B01M83G56P8FV855P67CVPT', 'b01m83g56p8fv855p67cvpt/'])(
  '%j is no batch id',
  (text) => {
    expect(isBatchId(text)).toBe(false)
  },
)
