import { describe, expect, test } from 'vitest'
import { drawNoise } from '../random/draw-noise.ts'
import { TorchGenerator } from '../random/torch-generator.ts'
import { resolveSchedulerAlias, SAMPLERS, SPACINGS } from './aliases.ts'
import { schedulerFromConfig } from './from-config.ts'
import { isSchedulerName } from './registry.ts'

/** As Stable Diffusion 1.5 ships it. */
const STABLE_DIFFUSION = {
  _class_name: 'PNDMScheduler',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  steps_offset: 1,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  clip_sample: false,
}

/** Every name of both programs, alone and with each spacing that its class knows. */
const NAMES = SAMPLERS.flatMap(({ a1111, comfyui }) => [a1111, comfyui])
  .filter((name) => name !== undefined)
  .flatMap((name) => [name, ...Object.keys(SPACINGS).map((spacing) => `${name} ${spacing}`)])
  .filter((name) => resolveSchedulerAlias(name) !== null)

/** What a sampler makes of noise where the model puts half of it out again. */
function render(alias: string, numInferenceSteps: number): Float32Array {
  const { name, config: overrides } = resolveSchedulerAlias(alias)!
  const { scheduler, config } = schedulerFromConfig(name, STABLE_DIFFUSION, overrides)
  const plan = scheduler.plan(config, { numInferenceSteps })
  const generator = new TorchGenerator(1)
  let sample = generator.randn(16).map((x) => x * plan.initNoiseSigma)
  let state: unknown = scheduler.initialState(plan)
  for (const i of plan.timesteps.keys()) {
    const output = new Float32Array(sample.length)
    scheduler.scaleModelInput(plan, i, sample, output)
    const noise = drawNoise(scheduler.noiseOf(plan, i, {}), sample.length, generator, 1)
    const next = new Float32Array(sample.length)
    state = scheduler.step(
      plan,
      i,
      output.map((x) => 0.5 * x),
      sample,
      state,
      noise,
      {},
      next,
    )
    sample = next
  }
  return sample
}

describe("samplers' names of A1111 and ComfyUI", () => {
  test.for([
    ['Euler', 'EulerDiscreteScheduler', {}],
    ['Euler Karras', 'EulerDiscreteScheduler', { use_karras_sigmas: true }],
    ['DPM++ 2M Karras', 'DPMSolverMultistepScheduler', { use_karras_sigmas: true }],
    ['dpmpp_2m karras', 'DPMSolverMultistepScheduler', { use_karras_sigmas: true }],
    [
      'DPM++ 2M SDE Karras',
      'DPMSolverMultistepScheduler',
      { algorithm_type: 'sde-dpmsolver++', use_karras_sigmas: true },
    ],
    ['  ddim ', 'DDIMScheduler', {}],
    ['Euler SGM Uniform', 'EulerDiscreteScheduler', { timestep_spacing: 'trailing' }],
    ['PLMS', 'PNDMScheduler', { skip_prk_steps: true }],
    ['uni_pc', 'UniPCMultistepScheduler', {}],
  ] as const)('%s is %s', ([alias, name, config]) => {
    expect(resolveSchedulerAlias(alias)).toEqual({ name, config })
  })

  test.for(['DPM++ 2S a', 'Euler Quadratic', 'DDIM Karras', '', 'EulerDiscreteScheduler'])('"%s" is none', (alias) => {
    expect(resolveSchedulerAlias(alias)).toBeNull()
  })

  test.for(SAMPLERS.map(({ a1111, comfyui, scheduler, config }) => [a1111 ?? comfyui!, scheduler, config] as const))(
    '%s stands for a class that there is, and a config that it takes',
    ([, scheduler, config]) => {
      expect(isSchedulerName(scheduler)).toBe(true)
      expect(schedulerFromConfig(scheduler, {}, config).config).toMatchObject(config)
    },
  )

  test.for(NAMES)('%s renders finite numbers in a few steps and in many', (alias) => {
    for (const steps of [1, 4, 20]) expect(render(alias, steps).every(Number.isFinite), `${steps} steps`).toBe(true)
  })
})
