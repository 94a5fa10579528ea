import { expect, test } from 'vitest'
import { latentsForDecoder, toRgb8 } from './pictures.ts'

test('a sample becomes interleaved bytes, clamped, halves to even', () => {
  const half = (level: number): number => (level / 255) * 2 - 1
  // Two pixels, planes of red, green and blue.
  const sample = Float32Array.of(-1, 1, -2, 2, 0, half(200))
  expect([...toRgb8(sample, 2, 1)]).toEqual([0, 0, 128, 255, 255, 200])
})

test('latents are unscaled and shifted for the decoder', () => {
  expect([...latentsForDecoder(Float32Array.of(1, -2), 0.5, 0.25)]).toEqual([2.25, -3.75])
})
