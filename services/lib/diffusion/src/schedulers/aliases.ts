import { isSchedulerName, SCHEDULERS } from './registry.ts'
import type { SchedulerName } from './registry.ts'

type Json = Readonly<Record<string, unknown>>

/** A class with the config keys that make it what other programs call by another name. */
export interface SchedulerAlias {
  readonly name: SchedulerName
  readonly config: Json
}

interface Sampler {
  /** In AUTOMATIC1111's user interface. */
  readonly a1111?: string
  /** In ComfyUI's KSampler. */
  readonly comfyui?: string
  /** diffusers' class; names that the registry lacks are left out. */
  readonly scheduler: string
  readonly config: Json
}

const MULTISTEP = 'DPMSolverMultistepScheduler'

/** What A1111 and ComfyUI call samplers. diffusers' docs, `api/schedulers/overview`; DPM++ SDE is k-diffusion's own method. */
export const SAMPLERS: readonly Sampler[] = [
  { a1111: 'Euler', comfyui: 'euler', scheduler: 'EulerDiscreteScheduler', config: {} },
  { a1111: 'Euler a', comfyui: 'euler_ancestral', scheduler: 'EulerAncestralDiscreteScheduler', config: {} },
  { a1111: 'LMS', comfyui: 'lms', scheduler: 'LMSDiscreteScheduler', config: {} },
  { a1111: 'Heun', comfyui: 'heun', scheduler: 'HeunDiscreteScheduler', config: {} },
  { a1111: 'DPM2', comfyui: 'dpm_2', scheduler: 'KDPM2DiscreteScheduler', config: {} },
  { a1111: 'DPM2 a', comfyui: 'dpm_2_ancestral', scheduler: 'KDPM2AncestralDiscreteScheduler', config: {} },
  { a1111: 'DPM++ 2M', comfyui: 'dpmpp_2m', scheduler: MULTISTEP, config: {} },
  {
    a1111: 'DPM++ 2M SDE',
    comfyui: 'dpmpp_2m_sde',
    scheduler: MULTISTEP,
    config: { algorithm_type: 'sde-dpmsolver++' },
  },
  {
    a1111: 'DPM++ 2M SDE Heun',
    comfyui: 'dpmpp_2m_sde_heun',
    scheduler: MULTISTEP,
    config: { algorithm_type: 'sde-dpmsolver++', solver_type: 'heun' },
  },
  {
    a1111: 'DPM++ 3M SDE',
    comfyui: 'dpmpp_3m_sde',
    scheduler: MULTISTEP,
    config: { algorithm_type: 'sde-dpmsolver++', solver_order: 3 },
  },
  { a1111: 'DPM++ SDE', comfyui: 'dpmpp_sde', scheduler: 'DPMSolverSDEScheduler', config: {} },
  { a1111: 'DDIM', comfyui: 'ddim', scheduler: 'DDIMScheduler', config: {} },
  { comfyui: 'ddpm', scheduler: 'DDPMScheduler', config: {} },
  { a1111: 'PLMS', scheduler: 'PNDMScheduler', config: { skip_prk_steps: true } },
  { a1111: 'UniPC', comfyui: 'uni_pc', scheduler: 'UniPCMultistepScheduler', config: {} },
  { comfyui: 'uni_pc_bh2', scheduler: 'UniPCMultistepScheduler', config: { solver_type: 'bh2' } },
  { a1111: 'LCM', comfyui: 'lcm', scheduler: 'LCMScheduler', config: {} },
  { a1111: 'TCD', scheduler: 'TCDScheduler', config: {} },
  { a1111: 'DEIS', comfyui: 'deis', scheduler: 'DEISMultistepScheduler', config: {} },
  { comfyui: 'ipndm', scheduler: 'IPNDMScheduler', config: {} },
  { comfyui: 'sa_solver', scheduler: 'SASolverScheduler', config: {} },
]

/** How both programs call the spacing of noise levels; behind a sampler's name, "DPM++ 2M Karras" or "dpmpp_2m karras". */
export const SPACINGS: Readonly<Record<string, Json>> = {
  normal: {},
  karras: { use_karras_sigmas: true },
  exponential: { timestep_spacing: 'linspace', use_exponential_sigmas: true },
  beta: { timestep_spacing: 'linspace', use_beta_sigmas: true },
  'sgm uniform': { timestep_spacing: 'trailing' },
  simple: { timestep_spacing: 'trailing' },
}

/**
 * The class and config that a sampler's name of A1111 or ComfyUI stands for, whatever its case; null for a name that is none,
 * or a spacing that the class does not know.
 */
export function resolveSchedulerAlias(alias: string): SchedulerAlias | null {
  const plain = normalized(alias)
  for (const [spacing, config] of [['', {}] as const, ...Object.entries(SPACINGS)]) {
    const suffix = spacing === '' ? '' : ` ${spacing}`
    if (!plain.endsWith(suffix)) continue
    const name = plain.slice(0, plain.length - suffix.length)
    const sampler = SAMPLERS.find((one) =>
      [one.a1111, one.comfyui].some((known) => known && normalized(known) === name),
    )
    if (sampler === undefined || !isSchedulerName(sampler.scheduler)) continue
    const { keys } = SCHEDULERS[sampler.scheduler]
    if (Object.keys(config).every((key) => Object.hasOwn(keys, key))) {
      return { name: sampler.scheduler, config: { ...sampler.config, ...config } }
    }
  }
  return null
}

function normalized(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replaceAll(/[\s_]+/g, ' ')
}
