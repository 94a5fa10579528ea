import { ddim } from './ddim.ts'
import { ddpm } from './ddpm.ts'
import { deisMultistep } from './deis-multistep.ts'
import { dpmSolverMultistep } from './dpm-solver-multistep.ts'
import { dpmSolverSde } from './dpm-solver-sde.ts'
import { dpmSolverSinglestep } from './dpm-solver-singlestep.ts'
import { eulerAncestralDiscrete } from './euler-ancestral-discrete.ts'
import { eulerDiscrete } from './euler-discrete.ts'
import { flowMatchEulerDiscrete } from './flow-match-euler-discrete.ts'
import { heunDiscrete } from './heun-discrete.ts'
import { kDpm2AncestralDiscrete } from './k-dpm-2-ancestral-discrete.ts'
import { kDpm2Discrete } from './k-dpm-2-discrete.ts'
import { lcm } from './lcm.ts'
import { lmsDiscrete } from './lms-discrete.ts'
import { pndm } from './pndm.ts'
import { ddimInverse } from './ddim-inverse.ts'
import { dpmSolverMultistepInverse } from './dpm-solver-multistep-inverse.ts'
import { ipndm } from './ipndm.ts'
import { flowMatchHeunDiscrete } from './flow-match-heun-discrete.ts'
import { flowMatchLcm } from './flow-match-lcm.ts'
import { cmStochasticIterative } from './cm-stochastic-iterative.ts'
import { edmEuler } from './edm-euler.ts'
import { edmDpmSolverMultistep } from './edm-dpm-solver-multistep.ts'
import { unClip } from './unclip.ts'
import { rePaint } from './repaint.ts'
import { scoreSdeVe } from './score-sde-ve.ts'
import { saSolver } from './sa-solver.ts'
import type { AnyScheduler } from './scheduler.ts'
import { tcd } from './tcd.ts'
import { uniPcMultistep } from './unipc-multistep.ts'

/** Every scheduler by diffusers' class name. */
export const SCHEDULERS = {
  DDIMScheduler: ddim,
  DDPMScheduler: ddpm,
  DEISMultistepScheduler: deisMultistep,
  DPMSolverMultistepScheduler: dpmSolverMultistep,
  DPMSolverSDEScheduler: dpmSolverSde,
  DPMSolverSinglestepScheduler: dpmSolverSinglestep,
  EulerAncestralDiscreteScheduler: eulerAncestralDiscrete,
  EulerDiscreteScheduler: eulerDiscrete,
  FlowMatchEulerDiscreteScheduler: flowMatchEulerDiscrete,
  HeunDiscreteScheduler: heunDiscrete,
  KDPM2AncestralDiscreteScheduler: kDpm2AncestralDiscrete,
  KDPM2DiscreteScheduler: kDpm2Discrete,
  LCMScheduler: lcm,
  LMSDiscreteScheduler: lmsDiscrete,
  PNDMScheduler: pndm,
  TCDScheduler: tcd,
  UniPCMultistepScheduler: uniPcMultistep,
  DDIMInverseScheduler: ddimInverse,
  DPMSolverMultistepInverseScheduler: dpmSolverMultistepInverse,
  IPNDMScheduler: ipndm,
  FlowMatchHeunDiscreteScheduler: flowMatchHeunDiscrete,
  FlowMatchLCMScheduler: flowMatchLcm,
  DDIMParallelScheduler: ddim,
  DDPMParallelScheduler: ddpm,
  CMStochasticIterativeScheduler: cmStochasticIterative,
  EDMEulerScheduler: edmEuler,
  EDMDPMSolverMultistepScheduler: edmDpmSolverMultistep,
  UnCLIPScheduler: unClip,
  RePaintScheduler: rePaint,
  ScoreSdeVeScheduler: scoreSdeVe,
  SASolverScheduler: saSolver,
} as const satisfies Record<string, AnyScheduler>

export type SchedulerName = keyof typeof SCHEDULERS

export function isSchedulerName(text: string): text is SchedulerName {
  return Object.hasOwn(SCHEDULERS, text)
}
