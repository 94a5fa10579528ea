export type DpmAlgorithm = 'dpmsolver' | 'dpmsolver++' | 'sde-dpmsolver' | 'sde-dpmsolver++'

/** A noise level as the solver sees it: x = alpha x_0 + sigma noise, lambda = log(alpha / sigma). */
export interface SolverLevel {
  readonly alpha: number
  readonly sigma: number
  readonly lambda: number
}

/** x_t = sample x_s + sum of outputs[k] m_k + noise z, where m_0 is the newest converted model output. */
export interface Update {
  readonly sample: number
  readonly outputs: readonly number[]
  readonly noise: number
}

/** What the exponential integrator weighs: the sample, the output, its differences D1 and D2, the noise. */
interface Weights {
  readonly sample: number
  readonly d0: number
  readonly d1Midpoint: number
  readonly d1Heun: number
  readonly d2: number
  readonly noise: number
}

const { exp, fround, log, sqrt } = Math

/** A variance-preserving level, or a flow's (alpha = 1 - sigma), of a value of `sigmas`; float32 stage by stage. */
export function solverLevel(sigma: number, isFlow: boolean): SolverLevel {
  const alpha = isFlow ? fround(1 - sigma) : fround(1 / fround(sqrt(fround(fround(sigma * sigma) + 1))))
  const level = isFlow ? sigma : fround(sigma * alpha)
  return { alpha, sigma: level, lambda: fround(fround(log(alpha)) - fround(log(level))) }
}

/**
 * One multistep update of order `past.length`, 1 to 3, from level `past[0]` to `to`; `past` goes back in time.
 *
 * DPM-Solver: Lu et al. 2022 (arXiv:2206.00927); DPM-Solver++ and its SDE form: Lu et al. 2022 (arXiv:2211.01095);
 * diffusers `dpm_solver_first_order_update`, `multistep_dpm_solver_second_order_update` and `…_third_order_update`.
 */
export function dpmUpdate(
  algorithm: DpmAlgorithm,
  solverType: 'midpoint' | 'heun',
  to: SolverLevel,
  past: readonly SolverLevel[],
): Update {
  const [from, before, earlier] = past as readonly [SolverLevel, SolverLevel?, SolverLevel?]
  const h = fround(to.lambda - from.lambda)
  const { sample, d0, d1Midpoint, d1Heun, d2, noise } = WEIGHTS[algorithm](to, from, h)
  if (before === undefined) return { sample, outputs: [d0], noise }

  const r0 = fround(fround(from.lambda - before.lambda) / h)
  if (earlier === undefined) {
    const slope = (solverType === 'midpoint' ? d1Midpoint : d1Heun) / r0
    return { sample, outputs: [d0 + slope, -slope], noise }
  }
  // D1 = D10 + r0 / (r0 + r1) (D10 - D11), D2 = (D10 - D11) / (r0 + r1), D10 = (m0 - m1) / r0, D11 = (m1 - m2) / r1.
  const r1 = fround(fround(before.lambda - earlier.lambda) / h)
  const bend = (d1Heun * r0 + d2) / (r0 + r1)
  const near = (d1Heun + bend) / r0
  const far = bend / r1
  return { sample, outputs: [d0 + near, -near - far, far], noise }
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
      noise: fround(sigma * fround(sqrt(phi))),
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
      noise: fround(sigma * fround(sqrt(fround(fround(exp(fround(2 * h))) - 1)))),
    }
  },
}
