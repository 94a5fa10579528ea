import { COMMON_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

/** diffusers `DDPMPipeline` and `DDIMPipeline`, and their loop with any other scheduler. */
export const unconditional: Task = {
  usesPrompt: false,
  parameters: COMMON_PARAMETERS,
  defaults: { numInferenceSteps: 50, guidanceScale: 0 },
  rows: ({ numInferenceSteps }) => numInferenceSteps,
}
