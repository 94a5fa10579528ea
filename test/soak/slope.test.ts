import { expect, test } from 'vitest'
import { slopeOf } from './slope.ts'

test('the slope of a line is found, and how sure it is', () => {
  const line = Array.from({ length: 10 }, (_, i) => [i / 10, 5 + (2 * i) / 10] as const)
  const { mean, perHour, standardError } = slopeOf(line)
  expect(mean).toBeCloseTo(5.9)
  expect(perHour).toBeCloseTo(2)
  expect(standardError).toBeCloseTo(0)
  const noisy = line.map(([x, y], i) => [x, y + (i % 2)] as const)
  expect(slopeOf(noisy).standardError).toBeGreaterThan(0.1)
})
