import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, DoneDocument } from '@darkroom/proto'
import type { Clock } from './clock.ts'
import type { CoordinatorEvents } from './events.ts'

export interface RetentionOptions {
  readonly store: ObjectStore
  readonly events: CoordinatorEvents
  readonly clock: Clock
  /** Above 0. */
  readonly keepDays: number
  /** A batch is gone: nobody is to remember it. */
  readonly onPurged: (batchId: string) => void
}

const DAY_MS = 86_400_000
/** For so long a webhook may still be told; then it is given up. */
const TOLD_WITHIN_MS = 2 * DAY_MS
/** Keys of one request that deletes. */
const AT_ONCE = 1_000

/**
 * Deletes batches that ended long enough ago, with their pictures; what they used stays in the ledger. The order of the deletes is
 * such that whatever dies between two of them, nothing begins anew and the next look goes on:
 *
 * 1. the input, as a claim that finds input makes the batch real again (`outcomeOf` of the gateway);
 * 2. batch.json: from here on nobody knows the batch. With it and without done.json it would be open;
 * 3. all else;
 * 4. done.json, which without batch.json says that this was no upload that is under way.
 *
 * What a batch is called under OpenAI's API only gateways know: they forget it when they next meet it.
 */
export class Retention {
  readonly #options: RetentionOptions

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Looks at the batches from the oldest on, until one that is younger than what is kept. */
  async purgeOld(signal: AbortSignal): Promise<void> {
    const { store, events, clock, keepDays } = this.#options
    const before = clock.date().getTime() - keepDays * DAY_MS
    for await (const prefix of store.listPrefixes(keys.batches)) {
      if (signal.aborted) return
      const batchId = prefix.slice(keys.batches.length, -1)
      try {
        // None of those that follow is older.
        if ((await this.#look(batchId, before, signal)) === 'younger') return
      } catch (err) {
        // One that cannot be deleted must not keep the others.
        if (!signal.aborted) events.effectFailed('purging', err)
      }
    }
  }

  async #look(batchId: string, before: number, signal: AbortSignal): Promise<'younger' | 'older'> {
    const { store, clock } = this.#options
    const [batch, done] = await Promise.all([
      store.getJson<BatchDocument>(keys.batch(batchId)),
      store.getJson<DoneDocument>(keys.done(batchId)),
    ])
    if (batch !== null && Date.parse(batch.createdAt) > before) return 'younger'
    if (done === null || Date.parse(done.endedAt) > before) return 'older'
    const mayBeTold = clock.date().getTime() - Date.parse(done.endedAt) <= TOLD_WITHIN_MS
    const isToTell = mayBeTold && batch?.webhook !== undefined
    if (!isToTell || (await store.head(keys.webhookPending(batchId))) === null) await this.#purge(batchId, signal)
    return 'older'
  }

  async #purge(batchId: string, signal: AbortSignal): Promise<void> {
    const { store, events, onPurged } = this.#options
    await this.#deleteAll(keys.inputFolder(batchId), [], signal)
    if (signal.aborted) return
    await store.delete(keys.batch(batchId))
    onPurged(batchId)
    const objects = await this.#deleteAll(keys.batchFolder(batchId), [keys.done(batchId)], signal)
    if (signal.aborted) return
    await store.delete(keys.done(batchId))
    events.batchPurged(batchId, objects)
  }

  /** @returns how many objects there were */
  async #deleteAll(prefix: string, except: readonly string[], signal: AbortSignal): Promise<number> {
    const { store } = this.#options
    let objects = 0
    let page: string[] = []
    for await (const { key } of store.list(prefix)) {
      if (except.includes(key)) continue
      page.push(key)
      objects++
      if (page.length < AT_ONCE) continue
      if (signal.aborted) return objects
      await store.deleteMany(page)
      page = []
    }
    await store.deleteMany(page)
    return objects
  }
}
