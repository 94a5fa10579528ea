import type { BatchDocument } from '@darkroom/proto'

/** Images that items ask for, in all and by scheduler, as batch.json has them. Memory: O(schedulers). */
export class ImageCount {
  readonly #byScheduler = new Map<string, number>()

  add({ scheduler, numImages }: { readonly scheduler: string; readonly numImages: number }): void {
    this.#byScheduler.set(scheduler, numImages + (this.#byScheduler.get(scheduler) ?? 0))
  }

  get fields(): Required<Pick<BatchDocument, 'imageCount' | 'schedulerImages'>> {
    return {
      imageCount: this.#byScheduler.values().reduce((sum, images) => sum + images, 0),
      schedulerImages: Object.fromEntries(this.#byScheduler),
    }
  }
}
