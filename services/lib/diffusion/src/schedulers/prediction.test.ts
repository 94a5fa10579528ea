import { expect, test } from 'vitest'
import { clamp } from './prediction.ts'

test('clamp bounds magnitudes, keeps signs of zero, and lets NaN be seen', () => {
  const sample = Float32Array.of(9, 0.5, 1.5, -1.5, -1.6, 1e38, Infinity, -Infinity, NaN, 0, -0, 1e-40)
  const inside = sample.subarray(1)
  clamp(inside, 1.5)
  expect(sample).toEqual(Float32Array.of(9, 0.5, 1.5, -1.5, -1.5, 1.5, 1.5, -1.5, NaN, 0, -0, 1e-40))
})
