import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import type { ObjectStore } from '@darkroom/chassis'

const MAX_KEPT = 64

/** batch.json of the batches that were asked for last. A document never changes, so it is read once. */
export class BatchDocuments {
  readonly #store: ObjectStore
  readonly #kept = new Map<string, BatchDocument>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** Null where no such batch was accepted. */
  async get(batchId: string): Promise<BatchDocument | null> {
    const document = this.#kept.get(batchId) ?? (await this.#store.getJson<BatchDocument>(keys.batch(batchId)))
    if (document !== null) this.keep(document)
    return document
  }

  keep(document: BatchDocument): void {
    this.#kept.delete(document.id)
    this.#kept.set(document.id, document)
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
  }
}
