import type { SolverLevel } from './dpm-solver-update.ts'
import { addScaled, weightedSum } from './vector-steps.ts'

interface UniSolver {
  /** Whether outputs are predictions of x_0, else of the noise. */
  readonly predictsOriginal: boolean
  /** B(h) = h, else e^h - 1. */
  readonly isBh1: boolean
}

const { expm1, fround } = Math

/** What predictor and corrector have in common. */
interface Terms {
  readonly weights: { readonly sample: number; readonly output: number; readonly bend: number }
  /** Positions of past outputs in units of the step, and 1 for its end. */
  readonly positions: readonly number[]
  readonly right: readonly number[]
}

/** @param past levels going back from where the step starts */
function termsOf({ predictsOriginal, isBh1 }: UniSolver, to: SolverLevel, past: readonly SolverLevel[]): Terms {
  const from = past[0]!
  const h = fround(to.lambda - from.lambda)
  const positions = [...past.slice(1).map((level) => fround(fround(level.lambda - from.lambda) / h)), 1]
  const hh = predictsOriginal ? -h : h
  const phi1 = fround(expm1(hh))
  const b = isBh1 ? hh : phi1
  const right: number[] = []
  let phi = fround(fround(phi1 / hh) - 1)
  let factorial = 1
  for (let k = 1; k <= past.length; k++) {
    right.push(fround(fround(phi * factorial) / b))
    factorial *= k + 1
    phi = fround(fround(phi / hh) - fround(1 / factorial))
  }
  const [scale, ratio] = predictsOriginal
    ? [to.alpha, fround(to.sigma / from.sigma)]
    : [to.sigma, fround(to.alpha / from.alpha)]
  return { weights: { sample: ratio, output: -fround(scale * phi1), bend: -fround(scale * b) }, positions, right }
}

/** Writes the sample at level `to`. Zhao et al. 2023, algorithm 2. @param outputs at the levels of `past` */
export function uniPredictor(
  solver: UniSolver,
  to: SolverLevel,
  past: readonly SolverLevel[],
  outputs: readonly Float32Array[],
  sample: Float32Array,
  out: Float32Array,
): void {
  const { weights, positions, right } = termsOf(solver, to, past)
  weightedSum(weights.sample, sample, weights.output, outputs[0]!, out)
  const order = past.length
  if (order === 1) return
  const inner = positions.slice(0, -1)
  const rhos = order === 2 ? [0.5] : solveVandermonde(inner, right.slice(0, -1))
  addScaled(weights.bend, differences(rhos, inner, outputs), out)
}

/** Writes the corrected sample at level `to`. Zhao et al. 2023, algorithm 1. @param output at that level */
export function uniCorrector(
  solver: UniSolver,
  to: SolverLevel,
  past: readonly SolverLevel[],
  output: Float32Array,
  outputs: readonly Float32Array[],
  lastSample: Float32Array,
  out: Float32Array,
): void {
  const { weights, positions, right } = termsOf(solver, to, past)
  weightedSum(weights.sample, lastSample, weights.output, outputs[0]!, out)
  const rhos = past.length === 1 ? [0.5] : solveVandermonde(positions, right)
  const bend = differences(rhos.slice(0, -1), positions.slice(0, -1), outputs)
  const last = fround(rhos.at(-1)!)
  const newest = outputs[0]!
  const size = out.length
  for (let j = 0; j < size; j++) bend[j] = bend[j]! + fround(last * fround(output[j]! - newest[j]!))
  addScaled(weights.bend, bend, out)
}

/** Sum of rho_k (m_k - m_0) / r_k. */
function differences(
  rhos: readonly number[],
  positions: readonly number[],
  outputs: readonly Float32Array[],
): Float32Array {
  const newest = outputs[0]!
  const out = new Float32Array(newest.length)
  const size = out.length
  for (const [k, rho] of rhos.entries()) {
    const other = outputs[k + 1]!
    const weight = fround(rho)
    const position = positions[k]!
    for (let j = 0; j < size; j++) out[j] = out[j]! + fround(weight * fround(fround(other[j]! - newest[j]!) / position))
  }
  return out
}

/** Solves sum_k r_k^i rho_k = b_i for i from 0. */
function solveVandermonde(positions: readonly number[], right: readonly number[]): number[] {
  const rows = right.map((b, i) => [...positions.map((r) => fround(r ** i)), b])
  const size = rows.length
  for (let k = 0; k < size; k++) {
    const best = rows.slice(k).reduce((a, row) => (Math.abs(row[k]!) > Math.abs(a[k]!) ? row : a))
    rows.splice(rows.indexOf(best), 1)
    rows.splice(k, 0, best)
    for (let i = k + 1; i < size; i++) {
      const factor = rows[i]![k]! / best[k]!
      rows[i] = rows[i]!.map((value, j) => value - factor * best[j]!)
    }
  }
  const solution = Array<number>(size).fill(0)
  for (let k = size - 1; k >= 0; k--) {
    const known = rows[k]!.slice(k + 1, size).reduce((sum, value, j) => sum + value * solution[k + 1 + j]!, 0)
    solution[k] = (rows[k]![size]! - known) / rows[k]![k]!
  }
  return solution
}
