import type { Preview } from '@darkroom/proto'

/** JPEGs of at most 512 pixels a side: some megabytes in all. */
const MAX_IMAGES = 128

/** The newest preview of each image that is being rendered, for those who come to watch later. */
export class RecentPreviews {
  /** By image, the longest without news first. */
  readonly #previews = new Map<string, Preview>()

  keep(preview: Preview): void {
    const image = `${preview.batchId}/${preview.item}/${preview.image}`
    this.#previews.delete(image)
    this.#previews.set(image, preview)
    if (this.#previews.size > MAX_IMAGES) this.#previews.delete(this.#previews.keys().next().value!)
  }

  ofBatch(batchId: string): readonly Preview[] {
    return [...this.#previews.values()].filter((preview) => preview.batchId === batchId)
  }

  dropShard(batchId: string, shardId: string): void {
    for (const [image, preview] of this.#previews)
      if (preview.batchId === batchId && preview.shardId === shardId) this.#previews.delete(image)
  }

  clear(): void {
    this.#previews.clear()
  }
}
