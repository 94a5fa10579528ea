import { existsSync } from 'node:fs'
import path from 'node:path'
import { decodeFloat32, relativeError } from './float32.ts'
import { worstLevel } from './pictures.ts'
import type { RenderedCase } from './pipelines.ts'
import { readJson } from './read-json.ts'

/**
 * Holds what the conformance command wrote against what is expected, and prints the worst of each scheduler or checkpoint.
 * Exit code 1 where anything is off.
 */

/** One thing that was compared: whose it is, its error, and the most that it may be. */
interface Finding {
  readonly group: string
  readonly name: string
  readonly error: number
  readonly limit: number
  /** Why there is no result. */
  readonly reason: string | null
}

interface Case {
  readonly name: string
  readonly error: string | null
}

const SAME_SCHEDULE = 1e-6

const COMPARISONS: Record<string, (golden: string, computed: string) => Finding[] | Promise<Finding[]>> = {
  randn(golden, computed) {
    const wants = cases<{ seed: number; randn_f32_base64?: string[] }>(golden)
    const gots = cases<{ randn_f32_base64: string[] }>(computed)
    return wants.flatMap(({ seed, randn_f32_base64: draws = [] }, i) =>
      draws.map((draw, k) => ({
        group: 'randn',
        name: `seed ${seed}, draw ${k}`,
        error: worstDifference(decodeFloat32(gots[i]!.randn_f32_base64[k]!), decodeFloat32(draw)),
        limit: 1e-6,
        reason: null,
      })),
    )
  },

  schedulers(golden, computed) {
    interface Trace extends Case {
      readonly timesteps: readonly number[]
      readonly sigmas: readonly number[] | null
      readonly samples_f32_base64: Readonly<Record<string, string>>
    }
    interface Golden {
      readonly name: string
      readonly scheduler: { readonly _class_name: string }
      readonly tolerance: number
      readonly expect: Trace
    }
    const gots = cases<Trace>(computed)
    return cases<Golden>(golden).flatMap(({ name, scheduler, tolerance, expect: want }, i): Finding[] => {
      const group = scheduler._class_name
      const got = gots[i]!
      if (got.error !== null) return [{ group, name, error: Infinity, limit: tolerance, reason: got.error }]
      const schedule = [
        [got.timesteps, want.timesteps],
        [got.sigmas ?? [], want.sigmas === null || got.sigmas === null ? [] : want.sigmas],
      ] as const
      const samples = Object.entries(want.samples_f32_base64)
      return [
        ...schedule.map(([a, b]) => ({
          group,
          name: `${name}, schedule`,
          error: relativeError(Float32Array.from(a), Float32Array.from(b)),
          limit: SAME_SCHEDULE,
          reason: null,
        })),
        ...samples.map(([k, sample]) => ({
          group,
          name: `${name}, step ${k}`,
          error: relativeError(decodeFloat32(got.samples_f32_base64[k] ?? ''), decodeFloat32(sample)),
          limit: tolerance,
          reason: null,
        })),
      ]
    })
  },

  async pipelines(golden, computed) {
    interface Golden {
      readonly name: string
      readonly checkpoint: string
      readonly width: number
      readonly height: number
      readonly rgb_base64: string
      readonly expect_nsfw?: boolean
    }
    const { cases: wants } = readJson(path.join(golden, 'pipelines.json')) as { cases: Golden[] }
    const gots = readJson(path.join(computed, 'index.json')) as RenderedCase[]
    return Promise.all(
      wants.map(async (want, i) => {
        const { checkpoint: group, name, expect_nsfw: flag = null } = want
        const { file, nsfw, error: failure } = gots[i]!
        const reason = failure ?? (nsfw === flag ? null : `nsfw is ${nsfw}, want ${flag}`)
        const error = file === null || reason !== null ? Infinity : await worstLevel(path.join(computed, file), want)
        return { group, name, error, limit: 1, reason }
      }),
    )
  },
}

function cases<T>(file: string): T[] {
  return (readJson(file) as { cases: T[] }).cases
}

function worstDifference(got: Float32Array, want: Float32Array): number {
  return got.length === want.length ? Math.max(0, ...got.map((x, j) => Math.abs(x - want[j]!))) : Infinity
}

const [kind, golden, computed] = process.argv.slice(2)
const compare = kind === undefined ? undefined : COMPARISONS[kind]
if (compare === undefined || computed === undefined || !existsSync(golden!) || !existsSync(computed)) {
  console.error('usage: npm run --silent conformance:compare -- randn|schedulers GOLDEN.json COMPUTED.json')
  console.error('       npm run --silent conformance:compare -- pipelines GOLDEN_DIR COMPUTED_DIR')
  process.exitCode = 2
} else {
  const findings = await compare(golden!, computed)
  const bad = findings.filter(({ error, limit }) => !(error <= limit))
  for (const [group, own] of Object.entries(Object.groupBy(findings, (one) => one.group))) {
    const worst = own!.reduce((a, b) => (b.error / b.limit > a.error / a.limit ? b : a))
    console.log(
      `${group.padEnd(36)} ${String(own!.length).padStart(5)} compared, worst ${worst.error.toExponential(1)}`,
    )
  }
  for (const { group, name, error, limit, reason } of bad) {
    console.log(`OFF  ${group}: ${name}: ${reason ?? `${error.toExponential(2)}, at most ${limit}`}`)
  }
  console.log(`${findings.length - bad.length} of ${findings.length} within their limits`)
  if (bad.length > 0 || findings.length === 0) process.exitCode = 1
}
