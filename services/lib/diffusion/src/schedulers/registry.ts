import { cmStochasticIterative } from './cm-stochastic-iterative.ts'
import { ddimInverse } from './ddim-inverse.ts'
import { ddim } from './ddim.ts'
import { ddpm } from './ddpm.ts'
import { deisMultistep } from './deis-multistep.ts'
import { dpmSolverMultistepInverse } from './dpm-solver-multistep-inverse.ts'
import { dpmSolverMultistep } from './dpm-solver-multistep.ts'
import { dpmSolverSde } from './dpm-solver-sde.ts'
import { dpmSolverSinglestep } from './dpm-solver-singlestep.ts'
import { edmDpmSolverMultistep } from './edm-dpm-solver-multistep.ts'
import { edmEuler } from './edm-euler.ts'
import { eulerAncestralDiscrete } from './euler-ancestral-discrete.ts'
import { eulerDiscrete } from './euler-discrete.ts'
import { flowMatchEulerDiscrete } from './flow-match-euler-discrete.ts'
import { flowMatchHeunDiscrete } from './flow-match-heun-discrete.ts'
import { flowMatchLcm } from './flow-match-lcm.ts'
import { heunDiscrete } from './heun-discrete.ts'
import { ipndm } from './ipndm.ts'
import { kDpm2AncestralDiscrete } from './k-dpm-2-ancestral-discrete.ts'
import { kDpm2Discrete } from './k-dpm-2-discrete.ts'
import { lcm } from './lcm.ts'
import { lmsDiscrete } from './lms-discrete.ts'
import { pndm } from './pndm.ts'
import { rePaint } from './repaint.ts'
import { saSolver } from './sa-solver.ts'
import { scoreSdeVe } from './score-sde-ve.ts'
import { tcd } from './tcd.ts'
import { unClip } from './unclip.ts'
import { uniPcMultistep } from './unipc-multistep.ts'
import type { AnyScheduler } from './scheduler.ts'

/** Every scheduler by diffusers' class name. The parallel classes step several timesteps at once there; here every lane does. */
export const SCHEDULERS = {
  CMStochasticIterativeScheduler: cmStochasticIterative,
  DDIMInverseScheduler: ddimInverse,
  DDIMParallelScheduler: ddim,
  DDIMScheduler: ddim,
  DDPMParallelScheduler: ddpm,
  DDPMScheduler: ddpm,
  DEISMultistepScheduler: deisMultistep,
  DPMSolverMultistepInverseScheduler: dpmSolverMultistepInverse,
  DPMSolverMultistepScheduler: dpmSolverMultistep,
  DPMSolverSDEScheduler: dpmSolverSde,
  DPMSolverSinglestepScheduler: dpmSolverSinglestep,
  EDMDPMSolverMultistepScheduler: edmDpmSolverMultistep,
  EDMEulerScheduler: edmEuler,
  EulerAncestralDiscreteScheduler: eulerAncestralDiscrete,
  EulerDiscreteScheduler: eulerDiscrete,
  FlowMatchEulerDiscreteScheduler: flowMatchEulerDiscrete,
  FlowMatchHeunDiscreteScheduler: flowMatchHeunDiscrete,
  FlowMatchLCMScheduler: flowMatchLcm,
  HeunDiscreteScheduler: heunDiscrete,
  IPNDMScheduler: ipndm,
  KDPM2AncestralDiscreteScheduler: kDpm2AncestralDiscrete,
  KDPM2DiscreteScheduler: kDpm2Discrete,
  LCMScheduler: lcm,
  LMSDiscreteScheduler: lmsDiscrete,
  PNDMScheduler: pndm,
  RePaintScheduler: rePaint,
  SASolverScheduler: saSolver,
  ScoreSdeVeScheduler: scoreSdeVe,
  TCDScheduler: tcd,
  UnCLIPScheduler: unClip,
  UniPCMultistepScheduler: uniPcMultistep,
} as const satisfies Record<string, AnyScheduler>

export type SchedulerName = keyof typeof SCHEDULERS

export function isSchedulerName(text: string): text is SchedulerName {
  return Object.hasOwn(SCHEDULERS, text)
}
