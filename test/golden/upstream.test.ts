import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { readJson } from './read-json.ts'
import { runUpstream } from './upstream.ts'
import type { UpstreamTest } from './upstream.ts'

interface Expected extends UpstreamTest {
  readonly expected_sum: number | null
  readonly sum_tolerance: number | string | null
  readonly expected_mean: number | null
  readonly mean_tolerance: number | string | null
  readonly equivalence?: { readonly kind: string; readonly sum_abs_diff_lt: number }
}

/** Of one test the tolerance is written as numpy's relative one of 1e-5. */
function bound(tolerance: number | string | null, expected: number): number {
  if (typeof tolerance === 'number') return tolerance
  expect(tolerance).toMatch(/^rtol 1e-5/)
  return 1e-5 * expected
}

describe("diffusers' own full-loop tests", () => {
  const { tests } = readJson(path.join(import.meta.dirname, 'upstream.json')) as { tests: Expected[] }

  test.for(tests.map((one) => [one.id, one] as const))('%s', ([, one]) => {
    const got = runUpstream({ tests: [one] }).tests[0]!
    expect(got.error).toBeNull()
    if (one.equivalence !== undefined) {
      expect(got.difference).toBeLessThan(one.equivalence.sum_abs_diff_lt)
      return
    }
    const { expected_sum: sum, expected_mean: mean } = one
    expect(sum ?? mean).not.toBeNull()
    // Four ulps of diffusers' float32 sums are more than the tolerance where a sum is large.
    if (sum != null) {
      expect(Math.abs(got.sum! - sum)).toBeLessThan(Math.max(bound(one.sum_tolerance, sum), 5e-7 * sum))
    }
    if (mean != null) expect(Math.abs(got.mean! - mean)).toBeLessThan(bound(one.mean_tolerance, mean))
  })
})
