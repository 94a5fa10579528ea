import { elementwise } from '../kernels/elementwise.ts'
import { rounded } from '../kernels/expression.ts'
import type { SolverLevel } from './dpm-solver-update.ts'
import { torchSqrt } from './torch-sqrt.ts'

/** What one stochastic Adams step integrates. */
export interface SaStep {
  /** Whether outputs are predictions of x_0, else of the noise. */
  readonly predictsOriginal: boolean
  /** How much noise: 0 the ODE, 1 the SDE. */
  readonly tau: number
  readonly from: SolverLevel
  readonly to: SolverLevel
  /** lambda of each output, the newest first. */
  readonly lambdas: readonly number[]
}

const { exp, fround } = Math

/**
 * Writes the sample at level `to`: the polynomial through the outputs, integrated over the step with noise.
 * @param outputs as many as lambdas, the newest first
 * @param correction what a second-order step adds to the newest weight and takes from the other
 */
export function adamsUpdate(
  step: SaStep,
  outputs: readonly Float32Array[],
  correction: number,
  sample: Float32Array,
  noise: Float32Array,
  out: Float32Array,
): void {
  const { predictsOriginal, tau, from, to } = step
  const weights = integratedWeights(step)
  if (predictsOriginal && weights.length === 2) {
    weights[0] = fround(weights[0]! + correction)
    weights[1] = fround(weights[1]! - correction)
  }
  const h = fround(to.lambda - from.lambda)
  const t2 = tau ** 2
  const scale = predictsOriginal
    ? fround(fround((1 + t2) * to.sigma) * fround(exp(-t2 * to.lambda)))
    : fround(-(1 + t2) * to.alpha)
  const spread = predictsOriginal
    ? fround(to.sigma * torchSqrt(fround(1 - fround(exp(fround(-2 * t2 * h))))))
    : fround(fround(tau * to.sigma) * torchSqrt(fround(fround(exp(fround(2 * h))) - 1)))
  const keep = predictsOriginal
    ? fround(fround(exp(-t2 * h)) * fround(to.sigma / from.sigma))
    : fround(to.alpha / from.alpha)
  const factors = weights.map((weight) => fround(scale * weight))
  advance([keep, spread, ...factors], [sample, noise, ...outputs.slice(0, factors.length)], out)
}

/** keep sample + the sum of weights[k] outputs[k] + spread noise, each operation rounded to float32: the terms nearly cancel. */
const advance = elementwise(([keep, spread, ...weights], [sample, noise, ...outputs]) => {
  const sum = weights.map((weight, k) => rounded.mul(weight, outputs[k]!)).reduce(rounded.add)
  return rounded.add(rounded.add(rounded.mul(keep!, sample!), sum), rounded.mul(spread!, noise!))
})

/** exp((1 + tau²) lambda_t) · (`half` - …), the part that both second-order corrections share. */
export function secondOrderCorrection(
  { tau, from, to }: SaStep,
  kind: { readonly type: 'predictor'; readonly before: SolverLevel } | { readonly type: 'corrector' },
): number {
  const h = fround(to.lambda - from.lambda)
  const c = 1 + tau ** 2
  const growth = fround(exp(fround(c * to.lambda)))
  const rest = fround(fround(fround(h * c) - 1) + fround(exp(fround(c * -h))))
  if (kind.type === 'predictor') {
    const inner = fround(fround(fround(h * h) / 2) - fround(rest / c ** 2))
    return fround(fround(growth * inner) / fround(from.lambda - kind.before.lambda))
  }
  return fround(growth * fround(fround(h / 2) - fround(rest / fround(c ** 2 * h))))
}

/**
 * For each output, the integral of its Lagrange polynomial against the exponential kernel. The terms all but cancel, so that
 * each operation is rounded to float32 in diffusers' order.
 */
function integratedWeights({ predictsOriginal, tau, from, to, lambdas }: SaStep): number[] {
  const moments = lambdas.map((_, degree) =>
    predictsOriginal
      ? growingMoment(degree, from.lambda, to.lambda, tau)
      : decayingMoment(degree, from.lambda, to.lambda),
  )
  const falling = moments.toReversed()
  return lambdas.map((own, k) =>
    lagrange(own, lambdas.toSpliced(k, 1)).reduce((sum, weight, j) => fround(sum + fround(weight * falling[j]!)), 0),
  )
}

/** Coefficients, the highest power first, of the polynomial that is 1 at `own` and 0 at up to three others. */
function lagrange(own: number, others: readonly number[]): number[] {
  const [a = 0, b = 0, c = 0] = others
  const divisor = others.reduce((product, other) => fround(product * fround(own - other)), 1)
  const sum = others.reduce((rest, other) => fround(rest - other), 0)
  const product = others.reduce((all, other) => fround(all * other), others.length === 2 ? 1 : -1)
  const pairs = fround(fround(fround(a * b) + fround(a * c)) + fround(b * c))
  const numerators = [[1], [1, product], [1, sum, product], [1, sum, pairs, product]][others.length]!
  return numerators.map((numerator) => fround(numerator / divisor))
}

/** ∫ x^degree e^-x over the step, times e^…: diffusers `get_coefficients_exponential_negative`. */
function decayingMoment(degree: number, start: number, end: number): number {
  const at = (x: number): number => antiderivative(degree, x, 1)
  return fround(fround(exp(-end)) * fround(fround(at(start) * fround(exp(fround(end - start)))) - at(end)))
}

/** diffusers `get_coefficients_exponential_positive`. */
function growingMoment(degree: number, start: number, end: number, tau: number): number {
  const c = 1 + tau ** 2
  const [a, b] = [fround(c * start), fround(c * end)]
  const at = (x: number): number => antiderivative(degree, x, -1)
  const inner = fround(at(b) - fround(at(a) * fround(exp(-fround(b - a)))))
  return fround(fround(fround(exp(b)) * inner) / c ** (degree + 1))
}

/** x^n + s n x^(n-1) + n (n-1) x^(n-2) + … with alternating signs for s = -1; powers as torch multiplies them. */
function antiderivative(degree: number, x: number, sign: 1 | -1): number {
  let factor = 1
  let sum = 0
  for (let k = degree; k >= 0; k--) {
    const power = Array<number>(k)
      .fill(x)
      .reduce((product, value) => fround(product * value), 1)
    sum = fround(sum + fround(factor * power))
    factor *= sign * k
  }
  return sum
}
