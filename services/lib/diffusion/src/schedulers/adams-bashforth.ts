import { constant, rounded } from '../kernels/expression.ts'
import type { Expression } from '../kernels/expression.ts'

/**
 * The slope of the Adams-Bashforth method of order 1 to 4 over as many past ones, the newest first. Each operation is rounded to
 * float32 in the order, and divided as, diffusers `scheduling_ipndm.py` and `scheduling_pndm.py` do it.
 */
export function adamsBashforth([a, b, c, d]: readonly Expression[]): Expression {
  const { add, div, mul, sub } = rounded
  const times = (factor: number, slope: Expression): Expression => mul(constant(factor), slope)
  if (b === undefined) return a!
  if (c === undefined) return div(sub(times(3, a!), b), constant(2))
  if (d === undefined) return div(add(sub(times(23, a!), times(16, b)), times(5, c)), constant(12))
  const sum = sub(add(sub(times(55, a!), times(59, b)), times(37, c)), times(9, d))
  return mul(constant(Math.fround(1 / 24)), sum)
}
