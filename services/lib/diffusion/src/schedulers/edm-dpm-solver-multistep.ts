import { ONE_DRAW } from '../random/draw-noise.ts'
import { linspaceF32 } from './betas.ts'
import { adoptingKey, flagKey, integerKey, numberKey } from './config.ts'
import type { ConfigKeys } from './config.ts'
import { dpmUpdate } from './dpm-solver-update.ts'
import type { SolverLevel } from './dpm-solver-update.ts'
import { edmKeys, edmSigmas, edmTimesteps, preconditionInput, preconditionOutput } from './edm-levels.ts'
import type { EdmConfig } from './edm-levels.ts'
import { thresholdOriginal } from './prediction.ts'
import type { ThresholdConfig } from './prediction.ts'
import { stepsOf } from './scheduler.ts'
import type { Plan, Scheduler } from './scheduler.ts'
import { axpy } from './vector-steps.ts'

export interface EdmMultistepConfig extends EdmConfig, ThresholdConfig {
  solver_order: number
  algorithm_type: 'dpmsolver++' | 'sde-dpmsolver++'
  solver_type: 'midpoint' | 'heun'
  lower_order_final: boolean
  euler_at_final: boolean
}

interface EdmMultistepPlan extends Plan {
  readonly config: EdmMultistepConfig
  readonly sigmas: Float32Array
  readonly levels: readonly SolverLevel[]
}

export interface EdmMultistepState {
  /** Predicted pictures of past steps, the newest first; fewer than solver_order. */
  readonly outputs: readonly Float32Array[]
}

const keys: ConfigKeys<EdmMultistepConfig> = {
  ...edmKeys,
  solver_order: integerKey(2, { min: 1, max: 3 }),
  thresholding: flagKey(false),
  dynamic_thresholding_ratio: numberKey(0.995, { min: 0, max: 1 }),
  sample_max_value: numberKey(1, { min: 0 }),
  // What other solvers of the family are configured with is taken for the nearest of its own, as in diffusers.
  algorithm_type: adoptingKey('dpmsolver++', ['dpmsolver++', 'sde-dpmsolver++'], { deis: 'dpmsolver++' }),
  solver_type: adoptingKey('midpoint', ['midpoint', 'heun'], { logrho: 'midpoint', bh1: 'midpoint', bh2: 'midpoint' }),
  lower_order_final: flagKey(true),
  euler_at_final: flagKey(false),
}

/**
 * DPM-Solver++ for models that are preconditioned as in EDM, whose samples are x_0 + sigma noise.
 *
 * Lu et al. 2022 (arXiv:2211.01095) over Karras et al. 2022 (arXiv:2206.00364); diffusers
 * `scheduling_edm_dpmsolver_multistep.py`.
 */
export const edmDpmSolverMultistep: Scheduler<EdmMultistepConfig, EdmMultistepPlan, EdmMultistepState> = {
  keys,
  about: {
    papers: ['2211.01095', '2206.00364'],
    source: 'scheduling_edm_dpmsolver_multistep.py',
    evaluations: '1',
    stochastic: 'when algorithm_type is sde-dpmsolver++',
    takesKarrasConfigs: false,
  },

  plan(config, request) {
    const steps = stepsOf(request, 'EDMDPMSolverMultistepScheduler')
    const trained = edmSigmas(config, linspaceF32(0, 1, steps), false)
    const final = config.final_sigmas_type === 'zero' ? 0 : config.sigma_min
    const sigmas = Float32Array.of(...trained, final)
    const plan: EdmMultistepPlan = {
      timesteps: edmTimesteps(trained),
      sigmas,
      initNoiseSigma: Math.sqrt(config.sigma_max ** 2 + 1),
      order: 1,
      config,
      levels: Array.from(sigmas, (sigma) => ({ alpha: 1, sigma, lambda: -Math.fround(Math.log(sigma)) })),
    }
    if (config.algorithm_type === 'sde-dpmsolver++' && plan.timesteps.some((_, i) => orderOf(plan, i, i) === 3)) {
      throw new RangeError('algorithm_type sde-dpmsolver++ has no steps of order 3 here; set solver_order to 1 or 2.')
    }
    return plan
  },

  initialState: () => ({ outputs: [] }),
  scaleModelInput: ({ config, sigmas }, i, sample, out) =>
    preconditionInput(sample, sigmas[i]!, config.sigma_data, out),
  noiseOf: ({ config }) => (config.algorithm_type === 'sde-dpmsolver++' ? ONE_DRAW : null),

  step(plan, i, modelOutput, sample, state, [noise], _options, out) {
    const { config, levels, sigmas } = plan
    const newest = new Float32Array(out.length)
    preconditionOutput(config, sigmas[i]!, modelOutput, sample, newest)
    if (config.thresholding) thresholdOriginal(newest, config)
    const outputs = [newest, ...state.outputs].slice(0, orderOf(plan, i, state.outputs.length))
    const past = outputs.map((_, k) => levels[i - k]!)
    const solver = { algorithm: config.algorithm_type, solverType: config.solver_type }
    dpmUpdate(solver, levels[i + 1]!, past, outputs, sample, noise, out)
    return { outputs: [newest, ...state.outputs].slice(0, config.solver_order - 1) }
  },

  addNoise: ({ sigmas }, i, original, noise, out) => axpy(sigmas[i]!, noise, original, out),
}

function orderOf({ config, timesteps }: EdmMultistepPlan, i: number, pastOutputs: number): number {
  const stepsAfter = timesteps.length - 1 - i
  const isShort = config.lower_order_final && timesteps.length < 15
  const isEulerFinal = config.euler_at_final || isShort || config.final_sigmas_type === 'zero'
  const most = stepsAfter === 0 && isEulerFinal ? 1 : stepsAfter === 1 && isShort ? 2 : 3
  return Math.min(most, config.solver_order, pastOutputs + 1)
}
