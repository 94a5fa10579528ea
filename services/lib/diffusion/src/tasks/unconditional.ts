import { COMMON_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

/** diffusers `DDPMPipeline` and `DDIMPipeline`, and their loop with any other scheduler. */
export const unconditional: Task = {
  usesPrompt: false,
  usesImage: false,
  parameters: COMMON_PARAMETERS,
  rows: ({ numInferenceSteps }) => numInferenceSteps,
}
