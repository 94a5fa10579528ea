import { depthToImage } from './depth-to-image.ts'
import { imageToImage } from './image-to-image.ts'
import { inpainting } from './inpainting.ts'
import type { Task } from './task.ts'
import { textToImage } from './text-to-image.ts'
import { unconditional } from './unconditional.ts'

/** Every task by the name that diffusers gives it. */
export const TASKS = {
  'unconditional-image-generation': unconditional,
  'text-to-image': textToImage,
  'image-to-image': imageToImage,
  inpainting,
  'depth-to-image': depthToImage,
} as const satisfies Record<string, Task>

export type TaskName = keyof typeof TASKS

export function isTaskName(text: string): text is TaskName {
  return Object.hasOwn(TASKS, text)
}
