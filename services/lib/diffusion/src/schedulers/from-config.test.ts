import { describe, expect, test } from 'vitest'
import { schedulerFromConfig } from './from-config.ts'

/** As Stable Diffusion 1.5 ships it. */
const STABLE_DIFFUSION = {
  _class_name: 'PNDMScheduler',
  _diffusers_version: '0.6.0',
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
  clip_sample: false,
}

const planOf = (name: string, source: Record<string, unknown>, overrides = {}) => {
  const { scheduler, config } = schedulerFromConfig(name, source, overrides)
  return scheduler.plan(config, { numInferenceSteps: 10 })
}

describe('schedulerFromConfig', () => {
  test("a class takes its own default for what the file does not say, as diffusers' from_config", () => {
    expect(planOf('EulerDiscreteScheduler', STABLE_DIFFUSION).initNoiseSigma).toBeCloseTo(14.6146, 4)
    expect(planOf('DDIMScheduler', STABLE_DIFFUSION).timesteps.slice(0, 3)).toEqual([901, 801, 701])
    expect(planOf('DPMSolverMultistepScheduler', STABLE_DIFFUSION).timesteps.slice(0, 2)).toEqual([999, 899])
  })

  test('keys of other classes survive a swap there and back', () => {
    const euler = schedulerFromConfig('EulerDiscreteScheduler', STABLE_DIFFUSION)
    expect(euler.unknownKeys).toEqual([])
    expect(euler.json).toMatchObject({ skip_prk_steps: true, set_alpha_to_one: false, clip_sample: false })
    const back = schedulerFromConfig('PNDMScheduler', euler.json)
    expect(back.config).toMatchObject({ skip_prk_steps: true, set_alpha_to_one: false })
    expect(back.json['_class_name']).toBe('PNDMScheduler')
  })

  test('a default of one class does not become a setting of the next', () => {
    const pndm = schedulerFromConfig('PNDMScheduler', STABLE_DIFFUSION)
    expect(pndm.config['timestep_spacing']).toBe('leading')
    expect(schedulerFromConfig('EulerDiscreteScheduler', pndm.json).config['timestep_spacing']).toBe('linspace')
  })

  test.for([
    [
      'EulerDiscreteScheduler',
      'KDPM2DiscreteScheduler',
      { prediction_type: 'sample' },
      /"sample"; want one of epsilon/,
    ],
    ['DDIMScheduler', 'DDIMInverseScheduler', { timestep_spacing: 'linspace' }, /"linspace"; want one of leading/],
  ] as const)('%s gets back from %s what that class cannot plan with', ([first, second, setting, message]) => {
    const choice = schedulerFromConfig(second, schedulerFromConfig(first, STABLE_DIFFUSION, setting).json)
    expect(choice.refusal).toMatch(message)
    expect(() => choice.scheduler.plan(choice.config, { numInferenceSteps: 10 })).toThrow(message)
    const back = schedulerFromConfig(first, choice.json)
    expect(back.config).toMatchObject(setting)
    expect(back.refusal).toBeNull()
    expect(() => schedulerFromConfig(second, {}, setting)).toThrow(message)
  })

  test('keys that no compatible class has are kept and reported', () => {
    const odd = schedulerFromConfig('DDIMScheduler', { ...STABLE_DIFFUSION, sharpness: 2 })
    expect(odd.unknownKeys).toEqual(['sharpness'])
    expect(odd.json).toMatchObject({ sharpness: 2 })
  })

  test('overrides win over the file', () => {
    const { timesteps } = planOf('EulerDiscreteScheduler', STABLE_DIFFUSION, { timestep_spacing: 'trailing' })
    expect(timesteps[0]).toBe(999)
    expect(timesteps[1]).toBe(899)
  })

  test('a class registers its own value for one of another solver, and the next class goes on from that', () => {
    const uniPc = schedulerFromConfig('UniPCMultistepScheduler', { solver_type: 'bh1' })
    const dpm = schedulerFromConfig('DPMSolverMultistepScheduler', uniPc.json)
    expect(dpm.config['solver_type']).toBe('midpoint')
    expect(schedulerFromConfig('UniPCMultistepScheduler', dpm.json).config['solver_type']).toBe('bh2')
    const deis = schedulerFromConfig('DEISMultistepScheduler', { algorithm_type: 'dpmsolver', solver_type: 'heun' })
    expect(schedulerFromConfig('DPMSolverSinglestepScheduler', deis.json).config).toMatchObject({
      algorithm_type: 'dpmsolver++',
      solver_type: 'midpoint',
    })
  })

  test('variances pass between DDPM and the solvers, which have null for none', () => {
    const solver = schedulerFromConfig('DPMSolverMultistepScheduler', { variance_type: 'fixed_small' })
    expect(solver.config['variance_type']).toBe('fixed_small')
    expect(planOf('DDPMScheduler', { variance_type: null }).timesteps).toHaveLength(10)
  })

  test('an override that the class does not know goes no further', () => {
    const { json, unknownKeys } = schedulerFromConfig(
      'EDMEulerScheduler',
      { timestep_spacing: 'leading' },
      { timestep_spacing: 'trailing', sharpness: 2 },
    )
    expect(json).toMatchObject({ timestep_spacing: 'leading' })
    expect(json).not.toHaveProperty('sharpness')
    expect(unknownKeys).toContain('sharpness')
  })

  test('an unknown class is refused with the names there are', () => {
    expect(() => schedulerFromConfig('EulerScheduler', {})).toThrow(/"EulerScheduler".*EulerDiscreteScheduler/)
  })

  test.for([
    ['beta_schedule', 'cosine', /beta_schedule of DDIMScheduler is "cosine"; want one of linear/],
    ['num_train_timesteps', 0, /num_train_timesteps of DDIMScheduler is 0; want an integer from 1/],
    ['beta_start', '0.1', /beta_start of DDIMScheduler is "0.1"; want a number/],
    ['clip_sample', 1, /clip_sample of DDIMScheduler is 1; want true or false/],
    ['trained_betas', [], /trained_betas of DDIMScheduler is \[\]; want a list of numbers or null/],
  ] as const)('%s %s is refused by name', ([key, value, message]) => {
    expect(() => schedulerFromConfig('DDIMScheduler', { [key]: value })).toThrow(message)
  })

  test('two ways to space sigmas at once are refused', () => {
    const both = { use_karras_sigmas: true, use_beta_sigmas: true }
    expect(() => planOf('EulerDiscreteScheduler', both)).toThrow(/only one of use_karras_sigmas/)
    expect(() => planOf('DPMSolverMultistepScheduler', both)).toThrow(/only one of use_karras_sigmas/)
  })

  test('a noise-predicting solver that would end at sigma 0 is refused with the remedy', () => {
    expect(() => planOf('DPMSolverMultistepScheduler', { algorithm_type: 'dpmsolver' })).toThrow(/sigma_min/)
  })

  test('schedules of which diffusers makes NaN are refused with the remedy', () => {
    const flow = { use_flow_sigmas: true, use_karras_sigmas: true, prediction_type: 'flow_prediction' }
    expect(() => planOf('DPMSolverMultistepScheduler', flow)).toThrow(/use_flow_sigmas has no noise level/)
    for (const config of [{ solver_type: 'bh1' }, { lower_order_final: false }, { predict_x0: false }]) {
      expect(() => planOf('UniPCMultistepScheduler', config)).toThrow(/set final_sigmas_type to sigma_min/)
      expect(planOf('UniPCMultistepScheduler', { ...config, final_sigmas_type: 'sigma_min' }).timesteps).toHaveLength(
        10,
      )
    }
  })

  test('more steps than were trained run where diffusers runs them, and are refused where it cannot', () => {
    const planMany = (name: string, config = {}): number => {
      const choice = schedulerFromConfig(name, { num_train_timesteps: 50, ...config })
      return choice.scheduler.plan(choice.config, { numInferenceSteps: 70 }).timesteps.length
    }
    expect(planMany('EulerDiscreteScheduler')).toBe(70)
    expect(planMany('FlowMatchEulerDiscreteScheduler')).toBe(70)
    expect(planMany('DPMSolverMultistepScheduler', { use_karras_sigmas: true })).toBe(70)
    expect(() => planMany('DDIMScheduler')).toThrow(/from 1 to 50/)
    expect(() => planMany('EulerDiscreteScheduler', { timestep_spacing: 'leading' })).toThrow(/timestep 0 twice/)
    expect(() => planMany('DPMSolverMultistepScheduler')).toThrow(/repeats a noise level/)
  })

  test('custom timesteps of DDPM must descend within the training range', () => {
    const { scheduler, config } = schedulerFromConfig('DDPMScheduler', {})
    expect(scheduler.plan(config, { timesteps: [100, 87, 50, 1, 0] }).timesteps).toEqual([100, 87, 50, 1, 0])
    for (const timesteps of [[100, 87, 50, 51, 0], [1000], []]) {
      expect(() => scheduler.plan(config, { timesteps })).toThrow(RangeError)
    }
  })
})
