import { describe, expect, test } from 'vitest'
import { BatchSizes } from './batch-sizes.ts'

/** Calls of a device that takes overhead + row · B seconds, each as large as allowed. @returns the rows of each */
function run(sizes: BatchSizes, calls: number, seconds: (rows: number) => number): number[] {
  return Array.from({ length: calls }, () => {
    const rows = sizes.padded(sizes.cap)
    sizes.took(rows, seconds(rows))
    return rows
  })
}

const busyFromTheStart = (rows: number): number => rows
const idleHalf = (rows: number): number => 16 + rows

describe('the rows of a call are learned', () => {
  test('fewer where more of them only take longer', () => {
    const sizes = new BatchSizes(16, 'closed')
    run(sizes, 5_000, busyFromTheStart)
    expect(sizes.cap).toBeLessThanOrEqual(4)
  })

  test('as many as allowed where more are nearly free', () => {
    const sizes = new BatchSizes(16, 'closed')
    const rows = run(sizes, 5_000, idleHalf)
    expect(sizes.cap).toBe(16)
    expect(rows.filter((count) => count < 16).length / rows.length).toBeLessThan(0.02)
  })

  test('more again once the device has become faster', () => {
    const sizes = new BatchSizes(16, 'any')
    run(sizes, 5_000, busyFromTheStart)
    run(sizes, 10_000, idleHalf)
    expect(sizes.cap).toBe(16)
  })
})

test('a closed set halves down to one row, and calls are padded to the next of it', () => {
  const sizes = new BatchSizes(12, 'closed')
  expect(sizes.closed).toEqual([12, 6, 3, 2, 1])
  expect([1, 2, 4, 7, 12].map((rows) => sizes.padded(rows))).toEqual([1, 2, 6, 12, 12])
})

test('with a fixed shape every call has the same rows', () => {
  const sizes = new BatchSizes(8, 'fixed')
  run(sizes, 1_000, busyFromTheStart)
  expect([sizes.cap, sizes.padded(1), sizes.padded(8)]).toEqual([8, 8, 8])
})

test('running out of memory halves what is allowed, down to one row', () => {
  const sizes = new BatchSizes(8, 'closed')
  expect(sizes.shrink(8)).toBe(true)
  expect(sizes.closed).toEqual([4, 2, 1])
  expect(sizes.shrink(4) && sizes.shrink(2)).toBe(true)
  expect(sizes.shrink(1)).toBe(false)
})
