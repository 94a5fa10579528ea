import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, ItemResult, LedgerDocument, PlannedShard } from '@darkroom/proto'
import { addTally } from '../core/tally.ts'
import type { Tallies } from '../core/tally.ts'
import { summariseRecord } from '../records.ts'

interface CheckpointSum {
  shards: number
  retries: number
  loadSeconds: number
  failedSeconds: number
  readonly schedulers: Tallies
}

/** What a batch used, by day and checkpoint, from its commit records alone. */
export class LedgerEntries {
  readonly #batch: BatchDocument
  readonly #days = new Map<string, Map<string, CheckpointSum>>()

  constructor(batch: BatchDocument) {
    this.#batch = batch
  }

  /** Records have to come in the order of their shards, so that the sums are the same each time. */
  add({ checkpoint }: PlannedShard, record: CommitRecord): void {
    const sum = this.#sumOf(record.committedAt.slice(0, 'YYYY-MM-DD'.length), checkpoint)
    // The halves of one that was split begin anew.
    sum.shards += record.kind === 'split' ? 0 : 1
    sum.retries += retriesOf(record)
    if (record.kind === 'rendered') {
      sum.loadSeconds += record.loadSeconds ?? 0
      sum.failedSeconds += record.items.reduce((all, item) => all + failedSecondsOf(item), 0)
    }
    for (const tally of summariseRecord(record).schedulers) addTally(sum.schedulers, tally)
  }

  get documents(): LedgerDocument[] {
    const { id: batchId, tenant } = this.#batch
    return [...this.#days].map(([day, checkpoints]) => ({
      batchId,
      tenant,
      day,
      checkpoints: [...checkpoints].map(([checkpoint, { schedulers, ...counts }]) => ({
        checkpoint,
        ...counts,
        schedulers: [...schedulers.values()],
      })),
    }))
  }

  /** Doing it again, here or in another coordinator, writes the same bytes to the same keys. */
  async write(store: ObjectStore): Promise<void> {
    for (const document of this.documents) {
      const key = keys.ledgerEntry(document.day, document.batchId)
      await store.put(key, JSON.stringify(document), { contentType: 'application/json' })
    }
  }

  #sumOf(day: string, checkpoint: string): CheckpointSum {
    let checkpoints = this.#days.get(day)
    if (checkpoints === undefined) this.#days.set(day, (checkpoints = new Map()))
    let sum = checkpoints.get(checkpoint)
    if (sum === undefined) {
      sum = { shards: 0, retries: 0, loadSeconds: 0, failedSeconds: 0, schedulers: new Map() }
      checkpoints.set(checkpoint, sum)
    }
    return sum
  }
}

/** Attempts that failed and were followed by others: of one that failed for good, all but the last. */
function retriesOf({ kind, attempt, failedAttempts }: CommitRecord): number {
  if (failedAttempts !== undefined) return Math.max(0, failedAttempts - (kind === 'failed' ? 1 : 0))
  // From before they were counted: whatever became of them.
  return Math.max(0, attempt - (kind === 'split' ? 0 : 1))
}

/** What an item took of the device for images that are not there. */
function failedSecondsOf(item: ItemResult): number {
  if (item.state !== 'rendered') return item.seconds ?? 0
  return (item.failedImages ?? []).reduce((sum, { seconds = 0 }) => sum + seconds, 0)
}
