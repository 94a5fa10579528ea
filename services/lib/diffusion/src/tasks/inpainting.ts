import { COMMON_PARAMETERS, IMAGE_PARAMETERS, partialRows, PROMPT_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

/** Repaints a picture where a mask is white, by UNets that were trained for it or not. diffusers `…InpaintPipeline`. */
export const inpainting: Task = {
  usesPrompt: true,
  usesImage: true,
  parameters: {
    ...COMMON_PARAMETERS,
    ...PROMPT_PARAMETERS,
    ...IMAGE_PARAMETERS,
    maskImage: {
      type: 'string',
      description: 'White is repainted, black stays: PNG, JPEG or WebP as a data URL, or the key of an upload.',
    },
    paddingMaskCrop: {
      type: 'integer',
      description: 'Render only the mask’s surroundings, this many pixels around it, and put them back.',
      minimum: 0,
      maximum: 2048,
    },
  },
  rows: partialRows,
}
