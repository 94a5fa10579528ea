import { FIRST_SECONDS_PER_UNIT } from '@darkroom/coordinator/internal'
import type { ItemLine } from '@darkroom/proto'

/** What an item does to whoever renders it: nothing, fail alone, fail its attempt, or kill the worker. */
export type Nature = 'sound' | 'fails' | 'refused' | 'kills'

export interface ItemWork {
  readonly checkpoint: string
  /** Steps of 512 x 512 pixels. */
  readonly steps: number
  readonly nature: Nature
}

const SIDE = 512

/** Of a device of speed 1: what the planner guesses until it has measured. */
export const SECONDS_PER_STEP = FIRST_SECONDS_PER_UNIT * SIDE * SIDE

/** Its nature is its prompt. */
export function itemLine(index: number, { checkpoint, steps, nature }: ItemWork): ItemLine {
  return {
    index,
    customId: `item-${index}`,
    task: 'unconditional-image-generation',
    checkpoint,
    prompt: nature,
    negativePrompt: '',
    width: SIDE,
    height: SIDE,
    scheduler: 'DDIMScheduler',
    schedulerConfig: {},
    numInferenceSteps: steps,
    guidanceScale: 0,
    eta: 0,
    seed: index,
    numImages: 1,
  }
}
