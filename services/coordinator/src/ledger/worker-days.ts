import { timestampDate } from '@bufbuild/protobuf/wkt'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { Worker, WorkerDayDocument } from '@darkroom/proto'
import { inOrder } from '../in-order.ts'

interface Told {
  document: WorkerDayDocument
  /** When it was heard of last. */
  heardMs: number
  /** When it grew last. */
  grewMs: number
  writtenMs: number
  /** What is in the bucket says less. */
  isNews: boolean
}

/** While a worker works: what both it and its coordinator lose where both die at once. */
const WRITE_EVERY_MS = 60_000
/** What has not grown for so long is of a worker that has left, or of a day that is over. */
const QUIET_MS = 4_000
const WRITES_AT_ONCE = 16

/**
 * What workers' devices did, day by day, as the workers themselves tell it with every heartbeat, on its way into the bucket. All
 * figures are from the process's start, or the day's: to write them again, here or in another coordinator, adds nothing.
 */
export class WorkerDays {
  /** By key. */
  readonly #told = new Map<string, Told>()
  #writing: Promise<unknown> = Promise.resolve()

  /** The newest that is known of those that were heard of lately, by key; of all others it is in the bucket. */
  get documents(): ReadonlyMap<string, WorkerDayDocument> {
    return new Map(this.#told.entries().map(([key, { document }]) => [key, document]))
  }

  seen({ id: workerId, connectedAt, deviceDays }: Worker, nowMs: number): void {
    if (connectedAt === undefined) return
    const startedAt = timestampDate(connectedAt).toISOString()
    for (const { day, wallSeconds, renderSeconds, loadSeconds } of deviceDays) {
      const key = keys.ledgerWorkerDay(day, startedAt, workerId)
      const known = this.#told.get(key)
      const document = { workerId, startedAt, day, wallSeconds, renderSeconds, loadSeconds }
      const news = { document, heardMs: nowMs, grewMs: nowMs, isNews: true }
      if (known === undefined) this.#told.set(key, { ...news, writtenMs: nowMs })
      else if (known.document.wallSeconds < wallSeconds) Object.assign(known, news)
      else known.heardMs = nowMs
    }
  }

  /** Writes what has been news for a minute, or will be none any more; with `isLast` all that is news. */
  write(store: ObjectStore, nowMs: number, isLast = false): Promise<void> {
    // One after the other: of two writes of a document the older must not be the last.
    const written = this.#writing.then(() => this.#write(store, nowMs, isLast))
    this.#writing = written.catch(() => {})
    return written
  }

  async #write(store: ObjectStore, nowMs: number, isLast: boolean): Promise<void> {
    const isDue = ({ grewMs, writtenMs }: Told): boolean =>
      isLast || nowMs - grewMs >= QUIET_MS || nowMs - writtenMs >= WRITE_EVERY_MS
    const due = this.#told.entries().filter(([, told]) => told.isNews && isDue(told))
    const writing = inOrder(due.toArray(), WRITES_AT_ONCE, async ([key, told]) => {
      const { document } = told
      // A leader that was deposed and does not know yet has heard less than the next.
      const stored = await store.getJson<WorkerDayDocument>(key)
      if (stored === null || stored.wallSeconds < document.wallSeconds)
        await store.put(key, JSON.stringify(document), { contentType: 'application/json' })
      told.writtenMs = nowMs
      // It may have grown meanwhile.
      if (told.document === document) told.isNews = false
    })
    for await (const _written of writing);
    for (const [key, { isNews, heardMs }] of this.#told)
      if (!isNews && nowMs - heardMs >= QUIET_MS) this.#told.delete(key)
  }
}
