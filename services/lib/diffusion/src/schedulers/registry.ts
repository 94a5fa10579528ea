import { ddim } from './ddim.ts'
import { ddpm } from './ddpm.ts'
import { dpmSolverMultistep } from './dpm-solver-multistep.ts'
import { eulerDiscrete } from './euler-discrete.ts'
import { pndm } from './pndm.ts'
import type { AnyScheduler } from './scheduler.ts'

/** Every scheduler by diffusers' class name. */
export const SCHEDULERS = {
  DDIMScheduler: ddim,
  DDPMScheduler: ddpm,
  DPMSolverMultistepScheduler: dpmSolverMultistep,
  EulerDiscreteScheduler: eulerDiscrete,
  PNDMScheduler: pndm,
} as const satisfies Record<string, AnyScheduler>

export type SchedulerName = keyof typeof SCHEDULERS

export function isSchedulerName(text: string): text is SchedulerName {
  return Object.hasOwn(SCHEDULERS, text)
}
