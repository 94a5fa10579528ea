import { isTaskName, TASKS } from '@darkroom/diffusion'
import type { ItemLine } from '@darkroom/proto'

/** Device seconds of one unit until something was measured: a small UNet on one CPU core. */
const FIRST_GUESS = 1.1e-6
const WEIGHT_OF_NEWS = 0.2

/** Units of work of an item: UNet rows × pixels, over all its images. */
export function costOf(item: ItemLine): number {
  const rows = isTaskName(item.task) ? TASKS[item.task].rows(item) : item.numInferenceSteps
  return rows * item.width * item.height * item.numImages
}

/** Learns the device seconds of a unit for each checkpoint from what shards really took. */
export class CostModel {
  readonly #secondsPerUnit = new Map<string, number>()

  seconds(checkpoint: string, cost: number): number {
    return cost * (this.#secondsPerUnit.get(checkpoint) ?? FIRST_GUESS)
  }

  learn(checkpoint: string, cost: number, deviceSeconds: number): void {
    if (!(cost > 0 && deviceSeconds > 0)) return
    const news = deviceSeconds / cost
    const old = this.#secondsPerUnit.get(checkpoint)
    this.#secondsPerUnit.set(checkpoint, old === undefined ? news : old + WEIGHT_OF_NEWS * (news - old))
  }
}
