import { COMMON_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

/** diffusers `StableDiffusionPipeline`: classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598) where the scale exceeds 1. */
export const textToImage: Task = {
  usesPrompt: true,
  parameters: {
    ...COMMON_PARAMETERS,
    prompt: { type: 'string', description: 'What to draw.' },
    negativePrompt: { type: 'string', description: 'What to draw away from; default empty.' },
    guidanceScale: {
      type: 'number',
      description: 'Weight of the prompt; 1 or less turns guidance off.',
      minimum: 0,
      maximum: 50,
    },
  },
  defaults: { numInferenceSteps: 50, guidanceScale: 7.5 },
  rows: ({ numInferenceSteps, guidanceScale }) => numInferenceSteps * (guidanceScale > 1 ? 2 : 1),
}
