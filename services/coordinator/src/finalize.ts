import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys, readShard } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, DoneDocument, PlannedShard, PlanSegment } from '@darkroom/proto'
import { inOrder } from './in-order.ts'
import { LedgerEntries } from './ledger/ledger-entries.ts'
import { OutputFiles } from './output-files.ts'
import { segmentCountOf } from './planner/batch-reader.ts'
import type { BatchReader } from './planner/batch-reader.ts'
import { Totals } from './totals.ts'

const READ_AHEAD = 64

/**
 * Ends a batch: output.jsonl and errors.jsonl from the commit records, in memory that does not grow with the batch, and
 * its entries of the ledger, and done.json last; what was kept to resume shards is deleted. Doing it again gives the same.
 * @throws DarkroomError INTERNAL when the records do not add up
 */
export async function finalizeBatch(
  store: ObjectStore,
  reader: BatchReader,
  batch: BatchDocument,
  { isCancelled, now }: { readonly isCancelled: boolean; readonly now: () => Date },
): Promise<DoneDocument> {
  const existing = await store.getJson<DoneDocument>(keys.done(batch.id))
  if (existing !== null) return existing
  const files = new OutputFiles(store, reader, batch.id)
  try {
    const totals = new Totals()
    const ledger = new LedgerEntries(batch)
    for await (const { shard, record } of endedShards(store, batch)) {
      totals.add(shard, record)
      ledger.add(shard, record)
      await files.add(shard, record)
    }
    const items = totals.itemsOf(batch, isCancelled)
    const written = await files.end()
    const done: DoneDocument = {
      batchId: batch.id,
      state: isCancelled ? 'cancelled' : 'completed',
      startedAt: totals.startedAt,
      endedAt: now().toISOString(),
      items,
      ...totals.images,
      shards: totals.shards,
      schedulers: totals.schedulers,
      ...written,
    }
    await ledger.write(store)
    await deleteProgress(store, batch.id)
    await store.putIfAbsent(keys.done(batch.id), JSON.stringify(done), { contentType: 'application/json' })
  } catch (reason) {
    files.discard(reason)
    throw reason
  }
  return (await store.getJson<DoneDocument>(keys.done(batch.id)))!
}

/** What attempts left that ended without a record of their own. A slow one may still leave some after this, which nobody reads. */
async function deleteProgress(store: ObjectStore, batchId: string): Promise<void> {
  const left = await Array.fromAsync(store.list(keys.progressFolder(batchId)), ({ key }) => key)
  await store.deleteMany(left)
}

/** Every planned shard with its record, and the halves of those that were split, in order, some read ahead. */
async function* endedShards(
  store: ObjectStore,
  batch: BatchDocument,
): AsyncGenerator<{ shard: PlannedShard; record: CommitRecord }> {
  const readRecord = (shardId: string): Promise<CommitRecord | null> => store.getJson(keys.result(batch.id, shardId))
  for (let segment = 0; segment < segmentCountOf(batch); segment++) {
    const plan = await store.getJson<PlanSegment>(keys.planSegment(batch.id, segment))
    if (plan === null) return
    for await (const read of inOrder(plan.shards, READ_AHEAD, (shard) => readShard(shard, readRecord))) {
      for (const { shard, record } of read) {
        if (record === null) throw new DarkroomError('INTERNAL', `shard ${shard.id} of batch ${batch.id} has no record`)
        yield { shard, record }
      }
    }
  }
}
