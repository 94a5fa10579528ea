import { DarkroomError } from '@darkroom/chassis'
import type { TaskName } from '@darkroom/diffusion'
import type { CoreContext } from '../context.ts'
import type { ItemInput } from '../ingest/item-schema.ts'

const USUAL_STEPS = 50

/** Model calls between previews, so that about as many come as are wanted. What is wrong with the item is said elsewhere. */
export async function previewEvery(context: CoreContext, item: ItemInput, previews: number): Promise<number> {
  const steps = item.numInferenceSteps ?? (await usualSteps(context, item))
  return Math.max(1, Math.floor((typeof steps === 'number' ? steps : USUAL_STEPS) / (previews + 1)))
}

async function usualSteps({ catalog, config }: CoreContext, item: ItemInput): Promise<number> {
  const reference = item.checkpoint ?? config.defaultCheckpoint
  if (typeof reference !== 'string') return USUAL_STEPS
  try {
    const { description } = await catalog.resolve(reference)
    const task = (item.task ?? description.tasks[0]) as TaskName
    return description.defaults[task]?.numInferenceSteps ?? USUAL_STEPS
  } catch (reason) {
    if (DarkroomError.from(reason).code === 'STORE_UNAVAILABLE') throw reason
    return USUAL_STEPS
  }
}
