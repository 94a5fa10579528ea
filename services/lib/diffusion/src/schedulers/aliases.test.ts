import { describe, expect, test } from 'vitest'
import { resolveSchedulerAlias, SAMPLERS } from './aliases.ts'
import { schedulerFromConfig } from './from-config.ts'
import { isSchedulerName } from './registry.ts'

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
})
