import { ddim } from './ddim.ts'
import { ddpm } from './ddpm.ts'
import { dpmSolverMultistep } from './dpm-solver-multistep.ts'
import { eulerDiscrete } from './euler-discrete.ts'
import { flowMatchEulerDiscrete } from './flow-match-euler-discrete.ts'
import { lcm } from './lcm.ts'
import { pndm } from './pndm.ts'
import type { AnyScheduler } from './scheduler.ts'
import { tcd } from './tcd.ts'

/** Every scheduler by diffusers' class name. */
export const SCHEDULERS = {
  DDIMScheduler: ddim,
  DDPMScheduler: ddpm,
  DPMSolverMultistepScheduler: dpmSolverMultistep,
  EulerDiscreteScheduler: eulerDiscrete,
  FlowMatchEulerDiscreteScheduler: flowMatchEulerDiscrete,
  LCMScheduler: lcm,
  PNDMScheduler: pndm,
  TCDScheduler: tcd,
} as const satisfies Record<string, AnyScheduler>

export type SchedulerName = keyof typeof SCHEDULERS

export function isSchedulerName(text: string): text is SchedulerName {
  return Object.hasOwn(SCHEDULERS, text)
}
