import { expect, test } from 'vitest'
import { numpyLog } from './numpy-log.ts'

/** float32 bits of x and of numpy.log(x), numpy 2 on x86-64 with AVX-512. */
const BITS: readonly (readonly [number, number])[] = [
  [0x41f9852d, 0x405c2a93],
  [0x422450a1, 0x406dca9a],
  [0x42aff685, 0x408f449e],
  [0x41e159c2, 0x4055a555],
  [0x3d8bcd8d, 0xc02bccf8],
  [0x3f4b8f2b, 0xbe6ab8bb],
  [0x3fb0af55, 0x3ea50970],
  [0x424793a7, 0x407a3be1],
  [0x424cbf89, 0x407bdf03],
  [0x3f7d0722, 0xbc3f5462],
  [0x40a81edf, 0x3fd45854],
  [0x42a4e430, 0x408d303f],
  [0x3ea8eb81, 0xbf8df06d],
  [0x38d1b717, 0xc1135d8e],
  [0x3ba2aaa0, 0xc0a9c6b4],
  [0x3e7c5892, 0xbfb3492e],
  [0x4143bbb7, 0x4020443a],
  [0x4417d244, 0x40cd1685],
] // prettier-ignore

test('logarithms are numpy’s to the last bit, where it rounds otherwise too', () => {
  const [x, want] = [new Float32Array(1), new Float32Array(1)]
  let isRoundedOtherwise = 0
  for (const [from, to] of BITS) {
    new Uint32Array(x.buffer)[0] = from
    new Uint32Array(want.buffer)[0] = to
    expect(numpyLog(x[0]!)).toBe(want[0])
    if (Math.fround(Math.log(x[0]!)) !== want[0]) isRoundedOtherwise++
  }
  expect(isRoundedOtherwise).toBeGreaterThan(5)
})

test('nothing, the infinite and the smallest numbers have their logarithms', () => {
  expect(numpyLog(0)).toBe(-Infinity)
  expect(numpyLog(Infinity)).toBe(Infinity)
  expect(numpyLog(2 ** -140)).toBeCloseTo(-140 * Math.LN2, 4)
  expect(numpyLog(1)).toBe(0)
})
