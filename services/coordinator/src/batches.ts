import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { Batch, BatchDocument, DoneDocument } from '@darkroom/proto'
import { SYSTEM_CLOCK } from './clock.ts'
import type { Farm } from './farm.ts'
import type { BatchState } from './core/state.ts'
import { viewEnded, viewOpen } from './views.ts'

const CACHED = 1_000

/** Batches as callers see them: the open ones from the farm, the ended ones from the bucket. */
export class Batches {
  readonly #store: ObjectStore
  readonly #ended = new Map<string, { batch: Batch; revision: number }>()
  /** Of ended batches. A few bytes each, and it never changes. */
  readonly #tenants = new Map<string, string>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** Whose a batch is; empty where it is gone. */
  async tenantOf(farm: Farm, batchId: string): Promise<string> {
    const known = farm.state.batches.get(batchId)?.owner.name ?? this.#tenants.get(batchId)
    if (known !== undefined) return known
    const tenant = (await this.#store.getJson<BatchDocument>(keys.batch(batchId)))?.tenant ?? ''
    this.#tenants.set(batchId, tenant)
    return tenant
  }

  forget(batchId: string): void {
    this.#ended.delete(batchId)
    this.#tenants.delete(batchId)
  }

  /** @throws DarkroomError NOT_FOUND */
  async view(farm: Farm, batchId: string): Promise<{ batch: Batch; revision: number }> {
    const open = farm.state.batches.get(batchId)
    if (open !== undefined) return { batch: viewOpen(open, SYSTEM_CLOCK.nowMs()), revision: revisionOf(open) }
    const known = this.#ended.get(batchId)
    if (known !== undefined) {
      // The least recently asked for goes first.
      this.#ended.delete(batchId)
      this.#ended.set(batchId, known)
      return known
    }
    const [document, done] = await Promise.all([
      this.#store.getJson<BatchDocument>(keys.batch(batchId)),
      this.#store.getJson<DoneDocument>(keys.done(batchId)),
    ])
    if (document === null) throw new DarkroomError('NOT_FOUND', `no batch ${batchId}`)
    if (done === null) {
      await farm.openBatch(batchId)
      return this.view(farm, batchId)
    }
    const view = {
      batch: viewEnded(document, done),
      revision: revisionOf({ endedShards: done.shards, state: 'ended' }),
    }
    this.#ended.set(batchId, view)
    if (this.#ended.size > CACHED) this.#ended.delete(this.#ended.keys().next().value!)
    return view
  }
}

/** A number that grows with every change and is the same after a restart. */
function revisionOf(batch: { endedShards: number; state: BatchState | 'ended' }): number {
  const ranks = { queued: 0, running: 1, cancelling: 2, finalizing: 3, ended: 4 }
  return batch.endedShards * 8 + ranks[batch.state]
}
