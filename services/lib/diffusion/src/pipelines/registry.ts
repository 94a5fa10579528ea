import type { Task } from './task.ts'
import { textToImage } from './text-to-image.ts'
import { unconditional } from './unconditional.ts'

/** Every task by the name that diffusers gives it. */
export const TASKS = {
  'unconditional-image-generation': unconditional,
  'text-to-image': textToImage,
} as const satisfies Record<string, Task>

export type TaskName = keyof typeof TASKS

export function isTaskName(text: string): text is TaskName {
  return Object.hasOwn(TASKS, text)
}
