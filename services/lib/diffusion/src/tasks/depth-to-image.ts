import { COMMON_PARAMETERS, IMAGE_PARAMETERS, partialRows, PROMPT_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

// Its pipeline has no schedule of one's own and no guidance_rescale.
const { timesteps: _timesteps, sigmas: _sigmas, ...COMMON } = COMMON_PARAMETERS
const { guidanceRescale: _guidanceRescale, ...PROMPT } = PROMPT_PARAMETERS

/** Keeps a picture's depth while it is redrawn. diffusers `StableDiffusionDepth2ImgPipeline`. */
export const depthToImage: Task = {
  usesPrompt: true,
  usesImage: true,
  parameters: {
    ...COMMON,
    ...PROMPT,
    ...IMAGE_PARAMETERS,
    depthMap: {
      type: 'string',
      description:
        'Grey picture, lighter is nearer, as a data URL or the key of an upload. Default: the checkpoint estimates it.',
    },
  },
  rows: partialRows,
}
