import { torchSqrt } from './torch-sqrt.ts'
import { combine } from './vector-steps.ts'

export type DpmAlgorithm = 'dpmsolver' | 'dpmsolver++' | 'sde-dpmsolver' | 'sde-dpmsolver++'

/** A noise level as the solver sees it: x = alpha x_0 + sigma noise, lambda = log(alpha / sigma). */
export interface SolverLevel {
  readonly alpha: number
  readonly sigma: number
  readonly lambda: number
}

/** What the exponential integrator weighs: the sample, the output, its differences D1 and D2, the noise. */
export interface Weights {
  readonly sample: number
  readonly d0: number
  readonly d1Midpoint: number
  readonly d1Heun: number
  readonly d2: number
  readonly noise: number
}

const { exp, fround, log } = Math

/**
 * A variance-preserving level, or a flow's (alpha = 1 - sigma), of a value of `sigmas`; float32 stage by stage.
 * @throws RangeError for a flow's above 1, of which diffusers makes NaN
 */
export function solverLevel(sigma: number, isFlow: boolean): SolverLevel {
  if (isFlow && sigma > 1) {
    throw new RangeError(
      `use_flow_sigmas has no noise level ${sigma}, only 0 to 1; set use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas and use_lu_lambdas to false.`,
    )
  }
  const alpha = isFlow ? fround(1 - sigma) : fround(1 / torchSqrt(fround(fround(sigma * sigma) + 1)))
  const level = isFlow ? sigma : fround(sigma * alpha)
  return { alpha, sigma: level, lambda: fround(fround(log(alpha)) - fround(log(level))) }
}

/**
 * Writes one multistep update of order `past.length`, 1 to 3, from level `past[0]` to `to`; `past` and `outputs`, the
 * converted model outputs, go back in time.
 *
 * DPM-Solver: Lu et al. 2022 (arXiv:2206.00927); DPM-Solver++ and its SDE form: Lu et al. 2022 (arXiv:2211.01095);
 * diffusers `dpm_solver_first_order_update`, `multistep_dpm_solver_second_order_update` and `…_third_order_update`.
 */
export function dpmUpdate(
  solver: { readonly algorithm: DpmAlgorithm; readonly solverType: 'midpoint' | 'heun' },
  to: SolverLevel,
  past: readonly SolverLevel[],
  outputs: readonly Float32Array[],
  sample: Float32Array,
  noise: Float32Array | undefined,
  out: Float32Array,
): void {
  const [from, before, earlier] = past as readonly [SolverLevel, SolverLevel?, SolverLevel?]
  const [, m1, m2] = outputs as readonly [Float32Array, Float32Array?, Float32Array?]
  const h = fround(to.lambda - from.lambda)
  const weights = dpmWeights(solver.algorithm, to, from, h)
  const factors = [weights.d0]
  if (before !== undefined && m1 !== undefined) {
    const r0 = fround(fround(from.lambda - before.lambda) / h)
    const near = 1 / r0
    if (earlier === undefined || m2 === undefined) {
      const d1 = solver.solverType === 'midpoint' ? weights.d1Midpoint : weights.d1Heun
      factors[0] = weights.d0 + d1 * near
      factors[1] = -d1 * near
    } else {
      // D1 = (1 + share) D1_0 - share D1_1 and D2 = (D1_0 - D1_1) / (r0 + r1), of the differences near and far.
      const r1 = fround(fround(before.lambda - earlier.lambda) / h)
      const far = 1 / r1
      const share = r0 / (r0 + r1)
      const onNear = (weights.d1Heun * (1 + share) + weights.d2 / (r0 + r1)) * near
      const onFar = (-weights.d1Heun * share - weights.d2 / (r0 + r1)) * far
      factors[0] = weights.d0 + onNear
      factors[1] = onFar - onNear
      factors[2] = -onFar
    }
  }
  const vectors = [sample, ...outputs.slice(0, factors.length)]
  const all = [weights.sample, ...factors]
  if (noise === undefined) return combine(all, vectors, out)
  combine([...all, weights.noise], [...vectors, noise], out)
}

/** What the update from one level to another weighs. @param h difference of their lambdas */
export function dpmWeights(algorithm: DpmAlgorithm, to: SolverLevel, from: SolverLevel, h: number): Weights {
  return WEIGHTS[algorithm](to, from, h)
}

type Integrator = (to: SolverLevel, from: SolverLevel, h: number) => Weights

const WEIGHTS: Readonly<Record<DpmAlgorithm, Integrator>> = {
  'dpmsolver++': ({ alpha, sigma }, from, h) => {
    const phi = fround(fround(exp(-h)) - 1)
    return {
      sample: fround(sigma / from.sigma),
      d0: -fround(alpha * phi),
      d1Midpoint: -0.5 * fround(alpha * phi),
      d1Heun: alpha * fround(fround(phi / h) + 1),
      d2: -alpha * fround(fround(fround(phi + h) / fround(h * h)) - 0.5),
      noise: 0,
    }
  },
  dpmsolver: ({ alpha, sigma }, from, h) => {
    const phi = fround(fround(exp(h)) - 1)
    return {
      sample: fround(alpha / from.alpha),
      d0: -fround(sigma * phi),
      d1Midpoint: -0.5 * fround(sigma * phi),
      d1Heun: -sigma * fround(fround(phi / h) - 1),
      d2: -sigma * fround(fround(fround(phi - h) / fround(h * h)) - 0.5),
      noise: 0,
    }
  },
  'sde-dpmsolver++': ({ alpha, sigma }, from, h) => {
    const h2 = fround(2 * h)
    const phi = fround(1 - fround(exp(-h2)))
    return {
      sample: fround(fround(sigma / from.sigma) * fround(exp(-h))),
      d0: fround(alpha * phi),
      d1Midpoint: 0.5 * fround(alpha * phi),
      d1Heun: alpha * fround(fround(phi / -h2) + 1),
      d2: alpha * fround(fround(fround(phi - h2) / fround(h2 * h2)) - 0.5),
      noise: fround(sigma * torchSqrt(phi)),
    }
  },
  // Has no third order; its plan refuses one.
  'sde-dpmsolver': ({ alpha, sigma }, from, h) => {
    const phi = fround(fround(exp(h)) - 1)
    return {
      sample: fround(alpha / from.alpha),
      d0: -2 * fround(sigma * phi),
      d1Midpoint: -fround(sigma * phi),
      d1Heun: -2 * sigma * fround(fround(phi / h) - 1),
      d2: 0,
      noise: fround(sigma * torchSqrt(fround(fround(exp(fround(2 * h))) - 1))),
    }
  },
}
