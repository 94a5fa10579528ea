import { expect, test } from 'vitest'
import { toRgb8 } from './rgb8.ts'

test('a sample becomes interleaved bytes, clamped, halves to even', () => {
  const half = (level: number): number => (level / 255) * 2 - 1
  // Two pixels, planes of red, green and blue.
  const sample = Float32Array.of(-1, 1, -2, 2, 0, half(200))
  expect([...toRgb8(sample, 2, 1).data]).toEqual([0, 0, 128, 255, 255, 200])
})
