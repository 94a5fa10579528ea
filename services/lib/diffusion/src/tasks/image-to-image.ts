import { COMMON_PARAMETERS, IMAGE_PARAMETERS, partialRows, PROMPT_PARAMETERS } from './task.ts'
import type { Task } from './task.ts'

/** Meng et al. 2021 (arXiv:2108.01073): a picture is noised by strength and denoised. diffusers `…Img2ImgPipeline`. */
export const imageToImage: Task = {
  usesPrompt: true,
  usesImage: true,
  parameters: { ...COMMON_PARAMETERS, ...PROMPT_PARAMETERS, ...IMAGE_PARAMETERS },
  rows: partialRows,
}
