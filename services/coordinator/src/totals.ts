import { DarkroomError } from '@darkroom/chassis'
import type { BatchDocument, CommitRecord, DoneDocument, PlannedShard } from '@darkroom/proto'
import { addCounts, noCounts } from './core/counts.ts'
import type { Counts } from './core/counts.ts'
import { addTally } from './core/tally.ts'
import type { Tallies } from './core/tally.ts'
import { summariseRecord } from './records.ts'

/** What the commit records of a batch sum to. */
export class Totals {
  readonly #tallies: Tallies = new Map()
  readonly #counts = noCounts()
  #planned = 0
  shards = 0
  startedAt: string | null = null

  add(shard: PlannedShard, record: CommitRecord): void {
    const result = summariseRecord(record)
    this.shards++
    // Those of a shard that was split are counted with its halves.
    if (record.kind !== 'split') this.#planned += shard.items.length
    addCounts(this.#counts, result)
    for (const tally of result.schedulers) addTally(this.#tallies, tally)
    if (record.kind !== 'rendered') return
    if (this.startedAt === null || record.startedAt < this.startedAt) this.startedAt = record.startedAt
  }

  get images(): Pick<Counts, 'images' | 'imagesFailed' | 'imagesFlagged' | 'itemsWarned'> {
    const { images, imagesFailed, imagesFlagged, itemsWarned } = this.#counts
    return { images, imagesFailed, imagesFlagged, itemsWarned }
  }

  get schedulers(): DoneDocument['schedulers'] {
    return [...this.#tallies.values()]
  }

  /** @throws DarkroomError INTERNAL when the records do not add up to the accepted items */
  itemsOf(batch: BatchDocument, isCancelled: boolean): DoneDocument['items'] {
    // Items of segments that were never planned, since the batch was cancelled first.
    const unplanned = batch.itemCount - this.#planned
    const { rendered, failed } = this.#counts
    const items = { rendered, failed, cancelled: this.#counts.cancelled + unplanned }
    const sum = items.rendered + items.failed + items.cancelled
    if (sum === batch.itemCount && (unplanned === 0 || isCancelled)) return items
    throw new DarkroomError(
      'INTERNAL',
      `the records of batch ${batch.id} do not add up to its ${batch.itemCount} items`,
      { cause: { items, unplanned } },
    )
  }
}
