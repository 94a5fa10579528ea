import { describe, expect, test } from 'vitest'
import { createBatchSizes } from './batch-sizes.ts'
import type { BatchSizes, Work } from './batch-sizes.ts'

/** Lanes of one row. */
function lanes(count: number, steps: number): Work {
  return { rowSteps: count * steps, longest: steps, laneRows: 1 }
}

const PLENTY = lanes(1000, 50)

/** Calls of a device that takes so many seconds, each as large as allowed. @returns the rows of each */
function run(sizes: BatchSizes, calls: number, seconds: (rows: number) => number): number[] {
  return Array.from({ length: calls }, () => {
    const rows = sizes.rowsFor(PLENTY)
    sizes.took(rows, seconds(rows), false)
    return rows
  })
}

const busyFromTheStart = (rows: number): number => rows
const idleHalf = (rows: number): number => 16 + rows

describe('the rows of a call are learned', () => {
  test('fewer where more of them only take longer', () => {
    const sizes = createBatchSizes(16, 'any')
    run(sizes, 5_000, busyFromTheStart)
    expect(sizes.cap).toBeLessThanOrEqual(4)
  })

  test('as many as allowed where more are nearly free', () => {
    const sizes = createBatchSizes(16, 'any')
    const rows = run(sizes, 5_000, idleHalf)
    expect(sizes.cap).toBe(16)
    expect(rows.filter((count) => count < 16).length / rows.length).toBeLessThan(0.02)
  })

  test('more again once the device has become faster', () => {
    const sizes = createBatchSizes(16, 'any')
    run(sizes, 5_000, busyFromTheStart)
    run(sizes, 10_000, idleHalf)
    expect(sizes.cap).toBe(16)
  })
})

describe('beside an image that somebody waits for', () => {
  test('nobody goes along before its own calls were measured', () => {
    const sizes = createBatchSizes(16, 'any')
    run(sizes, 8, busyFromTheStart)
    expect(sizes.beside(2)).toBe(2)
  })

  test('as many go along as make a call a quarter longer', () => {
    const sizes = createBatchSizes(16, 'any')
    run(sizes, 8, (rows) => 6 + rows)
    sizes.took(2, 8, false)
    expect(sizes.beside(2)).toBe(4)
  })

  test('none where each row takes its time, and all where none does', () => {
    const [busy, idle] = [createBatchSizes(16, 'any'), createBatchSizes(16, 'any')]
    run(busy, 8, busyFromTheStart)
    busy.took(2, 2, false)
    run(idle, 8, () => 1)
    idle.took(2, 1, false)
    expect([busy.beside(2), idle.beside(2)]).toEqual([2, 16])
  })
})

describe('of a closed set', () => {
  /** Sizes that were met on a device of seconds(rows), the largest last. */
  function met(seconds: (rows: number) => number, switchSeconds = 0): BatchSizes {
    const sizes = createBatchSizes(16, 'closed')
    for (const rows of sizes.closed!) sizes.took(rows, seconds(rows), false)
    sizes.took(16, seconds(16) + switchSeconds, true)
    return sizes
  }

  test('the sizes halve down to one row', () => {
    expect(createBatchSizes(12, 'closed').closed).toEqual([12, 6, 3, 2, 1])
  })

  test('the largest is taken while nothing was measured', () => {
    expect(createBatchSizes(12, 'closed').rowsFor(lanes(1, 10))).toBe(12)
  })

  test('the fastest is taken where there is plenty to do, the smallest where all are as fast', () => {
    expect(met(idleHalf).rowsFor(PLENTY)).toBe(16)
    expect(met(busyFromTheStart).rowsFor(PLENTY)).toBe(1)
  })

  test('a few lanes get the size that they fill', () => {
    expect(met(idleHalf).rowsFor(lanes(1, 50))).toBe(1)
    expect(met((rows) => 4 + rows).rowsFor(lanes(4, 50))).toBe(4)
  })

  test('a size is kept until the change to another is worth it', () => {
    const sizes = met(idleHalf, 100)
    expect(sizes.switchSeconds).toBe(100)
    // 6 calls of 32 seconds, or 6 of 17 and the change.
    expect(sizes.rowsFor(lanes(1, 6))).toBe(16)
    expect(sizes.rowsFor(lanes(1, 7))).toBe(1)
  })

  test('lanes of two rows get no size of one', () => {
    expect(met(idleHalf).rowsFor({ rowSteps: 20, longest: 10, laneRows: 2 })).toBe(2)
  })

  test('a call whose company before it is unknown teaches nothing', () => {
    const sizes = met(idleHalf, 100)
    sizes.took(16, 1000, null)
    expect(sizes.switchSeconds).toBe(100)
    expect(sizes.rowsFor(PLENTY)).toBe(16)
  })
})

test('a single lane comes alone, however long', () => {
  const sizes = createBatchSizes(8, 'single')
  run(sizes, 1_000, idleHalf)
  expect(sizes.cap).toBe(1)
})

test.for(['any', 'closed'] as const)('running out of memory halves what is allowed, down to one row: %s', (shapes) => {
  const sizes = createBatchSizes(8, shapes)
  expect(sizes.shrink(8)).toBe(true)
  expect(sizes.cap).toBe(4)
  expect(sizes.shrink(4) && sizes.shrink(2)).toBe(true)
  expect(sizes.shrink(1)).toBe(false)
})
