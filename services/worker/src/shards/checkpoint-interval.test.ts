import { expect, test } from 'vitest'
import { checkpointInterval } from './checkpoint-interval.ts'

test('a write of 50 ms against one loss in a day is worth while every 93 seconds', () => {
  expect(checkpointInterval(0.05, 24 * 3600)).toBeCloseTo(92.95, 2)
})

test('no other interval loses less to writes and losses', () => {
  const [cost, between] = [0.2, 3_600]
  const lost = (interval: number): number => cost / interval + interval / 2 / between
  const best = checkpointInterval(cost, between)
  for (const factor of [0.5, 0.9, 1.1, 2]) expect(lost(best)).toBeLessThan(lost(factor * best))
})

test('a farm that loses a hundred times as many workers writes ten times as often', () => {
  expect(checkpointInterval(0.1, 36)).toBeCloseTo(checkpointInterval(0.1, 3_600) / 10, 10)
})
