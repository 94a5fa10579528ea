import { elementwise } from '../kernels/elementwise.ts'
import { rounded } from '../kernels/expression.ts'
import type { SolverLevel } from './dpm-solver-update.ts'

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
  const order = past.length
  const inner = positions.slice(0, -1)
  const rhos = order === 1 ? [] : order === 2 ? [0.5] : solveVandermonde(inner, right.slice(0, -1))
  bend([...numbersOf(weights), ...rhos.map(fround), ...inner], [sample, ...outputs.slice(0, 1 + inner.length)], out)
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
  const rhos = past.length === 1 ? [0.5] : solveVandermonde(positions, right)
  // The output at the level itself is at position 1, the last.
  const vectors = [lastSample, ...outputs.slice(0, positions.length), output]
  bend([...numbersOf(weights), ...rhos.map(fround), ...positions], vectors, out)
}

function numbersOf({ sample, output, bend: factor }: Terms['weights']): readonly number[] {
  return [sample, output, factor]
}

/**
 * ratio sample + a m_0 + b sum of rho_k (m_k - m_0) / r_k, each operation rounded to float32 in diffusers' order.
 * Vectors are the sample, m_0 and the other outputs; numbers ratio, a, b, then each rho and each r.
 */
const bend = elementwise(([ratio, a, b, ...rhosAndPositions], [sample, m0, ...outputs]) => {
  const { add, div, mul, sub } = rounded
  const line = add(mul(ratio!, sample!), mul(a!, m0!))
  const slopes = outputs.map((output, k) =>
    mul(rhosAndPositions[k]!, div(sub(output, m0!), rhosAndPositions[outputs.length + k]!)),
  )
  return slopes.length === 0 ? line : add(line, mul(b!, slopes.reduce(add)))
})

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
