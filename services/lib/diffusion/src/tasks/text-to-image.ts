import { COMMON_PARAMETERS, guidedRows, PROMPT_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

/** diffusers `StableDiffusionPipeline` and its successors. */
export const textToImage: Task = {
  usesPrompt: true,
  usesImage: false,
  parameters: { ...COMMON_PARAMETERS, ...PROMPT_PARAMETERS },
  rows: guidedRows,
}
