import { fromJson } from '@bufbuild/protobuf'
import { ItemSchema } from '@darkroom/proto'
import type { ItemLine, QuotedItems } from '@darkroom/proto'
import type { LineSink } from './part-writer.ts'

/** Counts the lines of a batch by what they cost, and keeps nothing else of them. */
export class QuotedLines implements LineSink {
  readonly isStored = false
  readonly isFull = false
  readonly #groups = new Map<string, { readonly line: ItemLine; images: number }>()
  items = 0
  images = 0

  append(text: string): void {
    const line = JSON.parse(text) as ItemLine
    const { task, checkpoint, width, height, scheduler, numInferenceSteps, guidanceScale, strength } = line
    const { timesteps = [], sigmas = [], denoisingEnd, numImages } = line
    const steps = [numInferenceSteps, timesteps.length, sigmas.length, strength, denoisingEnd]
    const key = JSON.stringify([task, checkpoint, width, height, scheduler, steps, guidanceScale > 1])
    const group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, { line, images: numImages })
    else group.images += numImages
    this.items++
    this.images += numImages
  }

  get quoted(): Pick<QuotedItems, 'item' | 'count'>[] {
    return [...this.#groups.values()].map(({ line, images }) => ({
      item: fromJson(ItemSchema, { ...line, numImages: 1 } as unknown as Parameters<typeof fromJson>[1]),
      count: BigInt(images),
    }))
  }

  async flush(): Promise<void> {}

  async finish(): Promise<readonly []> {
    return []
  }

  async discard(): Promise<void> {}
}
