import { COMMON_PARAMETERS, IMAGE_PARAMETERS, partialRows, PROMPT_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

/** Keeps a picture's depth while it is redrawn. diffusers `StableDiffusionDepth2ImgPipeline`. */
export const depthToImage: Task = {
  usesPrompt: true,
  usesImage: true,
  parameters: {
    ...COMMON_PARAMETERS,
    ...PROMPT_PARAMETERS,
    ...IMAGE_PARAMETERS,
    depthMap: {
      type: 'string',
      description:
        'Grey picture, lighter is nearer, as a data URL or the key of an upload. Default: the checkpoint estimates it.',
    },
  },
  rows: partialRows,
}
