import { isSchedulerName, SCHEDULERS } from '@darkroom/diffusion'
import { describe, expect, test } from 'vitest'
import { readPlainData, writePlainData } from './plain-data.ts'

const written = {
  text: 'ein Äpfelchen 🍎',
  numbers: [1, -0.1, 2 ** 53 - 1, 5e-324, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0],
  nothing: null,
  nested: { words: Uint32Array.of(0, 2 ** 32 - 1), empty: new Float32Array() },
  latents: [Float32Array.of(Number.NaN, -0, 1e-45), new Float32Array([9, 8, 7]).subarray(1)],
}

describe('plain data', () => {
  test('comes back to the bit, however its bytes lie in memory', () => {
    const bytes = writePlainData(written)
    expect(readPlainData(bytes)).toEqual(written)
    const shifted = new Uint8Array(bytes.length + 1)
    shifted.set(bytes, 1)
    expect(readPlainData(shifted.subarray(1))).toEqual(written)
  })

  test('takes hardly more room than its numbers', () => {
    expect(writePlainData({ latents: new Float32Array(16_384) }).length).toBeLessThan(65_536 + 200)
  })

  test('of which any one byte is changed, or the end is missing, is refused', () => {
    const bytes = writePlainData(written)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))
      expect(() => readPlainData(damaged), `byte ${at}`).toThrow(RangeError)
    }
    for (const length of [0, 31, 33, bytes.length - 1]) {
      expect(() => readPlainData(bytes.subarray(0, length)), `${length} bytes`).toThrow(RangeError)
    }
  })

  test('does not take what would come back as something else', () => {
    for (const value of [new Map(), new Float64Array(1), new Error('no')]) {
      expect(() => writePlainData({ value })).toThrow('is no plain data')
    }
  })
})

test('every scheduler begins with plain data', () => {
  for (const [name, scheduler] of Object.entries(SCHEDULERS)) {
    if (!isSchedulerName(name)) continue
    const state = (scheduler.initialState as (plan: unknown) => unknown)(null)
    expect(readPlainData(writePlainData(state)), name).toEqual(state)
  }
})
