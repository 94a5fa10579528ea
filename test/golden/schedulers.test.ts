import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { decodeFloat32, relativeError } from './float32.ts'
import { readJson } from './read-json.ts'
import { runRandn } from './randn.ts'
import { runSchedulers } from './schedulers.ts'
import type { SchedulerCase, SchedulerTrace } from './schedulers.ts'

function golden(name: string): unknown {
  return readJson(path.join(import.meta.dirname, name))
}

interface GoldenCase extends SchedulerCase {
  readonly expect: SchedulerTrace
  readonly tolerance: number
}

/**
 * DPMSolverSDE asks its Brownian path at times that torch's logarithm rounds as the processor's library does; a last bit
 * there changes the noise, as README.md says.
 */
const BROWNIAN_TOLERANCE = 1e-3

describe.for(['schedulers.json', 'schedulers-more.json'])('schedulers follow diffusers: %s', (file) => {
  const { cases } = golden(file) as { cases: GoldenCase[] }

  test.for(cases.map((one) => [one.name, one] as const))(
    '%s: the same schedule and the same samples at every step',
    ([, one]) => {
      const got = runSchedulers({ cases: [one] }).cases[0]!
      expect(got.error).toBeNull()
      expect(got.order).toBe(one.expect.order)
      expect(
        relativeError(Float32Array.from(got.timesteps), Float32Array.from(one.expect.timesteps)),
      ).toBeLessThanOrEqual(1e-6)
      if (one.expect.sigmas !== null)
        expect(relativeError(Float32Array.from(got.sigmas!), Float32Array.from(one.expect.sigmas))).toBeLessThanOrEqual(
          1e-6,
        )
      // Flows have none: their noise is not raised.
      expect(got.init_noise_sigma / (one.expect.init_noise_sigma ?? 1)).toBeCloseTo(1, 6)
      const indices = Object.keys(one.expect.samples_f32_base64)
      expect(indices.length).toBeGreaterThan(0)
      for (const i of indices) {
        const error = relativeError(
          decodeFloat32(got.samples_f32_base64[i]!),
          decodeFloat32(one.expect.samples_f32_base64[i]!),
        )
        const isBrownian = one.scheduler._class_name === 'DPMSolverSDEScheduler'
        expect(error, `step ${i}`).toBeLessThanOrEqual(isBrownian ? BROWNIAN_TOLERANCE : one.tolerance)
      }
    },
  )
})

describe('random numbers follow torch', () => {
  interface RandnGolden {
    readonly seed: number
    readonly consecutive_sizes: number[]
    readonly randn_f32_base64?: string[]
    readonly first_16?: string
    readonly last_16?: string
    readonly sum_f64?: number
  }
  const { cases } = golden('torch_randn.json') as { cases: RandnGolden[] }
  const draw = (one: RandnGolden): Float32Array[] =>
    runRandn({ cases: [one] }).cases[0]!.randn_f32_base64.map(decodeFloat32)
  const worst = (got: Float32Array, want: Float32Array): number => {
    expect(got).toHaveLength(want.length)
    return got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i]!)), 0)
  }

  test.for(cases.map((one) => [`${one.seed}: ${one.consecutive_sizes.join(', ')}`, one] as const))(
    'seed %s',
    ([, one]) => {
      const got = draw(one)
      expect(got.map(({ length }) => length)).toEqual(one.consecutive_sizes)
      if (one.randn_f32_base64 !== undefined) {
        for (const [k, want] of one.randn_f32_base64.entries())
          expect(worst(got[k]!, decodeFloat32(want))).toBeLessThanOrEqual(1e-6)
        return
      }
      expect(worst(got[0]!.subarray(0, 16), decodeFloat32(one.first_16!))).toBeLessThanOrEqual(1e-6)
      expect(worst(got[0]!.subarray(-16), decodeFloat32(one.last_16!))).toBeLessThanOrEqual(1e-6)
      expect(got[0]!.reduce((sum, value) => sum + value, 0)).toBeCloseTo(Number(one.sum_f64), 2)
    },
  )
})
