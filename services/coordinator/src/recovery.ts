import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { CancelDocument, CommitRecord } from '@darkroom/proto'
import type { FarmEvent } from './core/messages.ts'
import type { ShardResult, ShardSummary } from './core/state.ts'
import { segmentCountOf } from './planner/batch-reader.ts'
import type { BatchReader } from './planner/batch-reader.ts'
import { summarise } from './planner/plan-segment.ts'
import { summariseRecord } from './records.ts'

const READS_AT_ONCE = 16

/**
 * Everything that the bucket says of a batch that is not ended, as events for the core: its plan so far, the shards that have
 * their records, the wish to cancel it. Returns none where the batch is ended or was never accepted.
 */
export async function recoverBatch(store: ObjectStore, reader: BatchReader, batchId: string): Promise<FarmEvent[]> {
  const [done, isAccepted, cancel] = await Promise.all([
    store.head(keys.done(batchId)),
    store.head(keys.batch(batchId)),
    store.getJson<CancelDocument>(keys.cancel(batchId)),
  ])
  if (done !== null || isAccepted === null) return []
  const batch = await reader.batch(batchId)
  const { id, itemCount, imageCount, createdAt } = batch
  const events: FarmEvent[] = [
    {
      type: 'batchOpened',
      batch: { id, itemCount, imageCount, createdAtMs: Date.parse(createdAt) },
      segmentCount: segmentCountOf(batch),
      isCancelled: cancel !== null,
    },
  ]
  const results = await readResults(store, batchId)
  for (let segment = 0; segment < segmentCountOf(batch); segment++) {
    const plan = await reader.plan(batchId, segment)
    if (plan === null) break
    const items = await reader.items(batchId, segment)
    const shards: ShardSummary[] = []
    const ended: ShardResult[] = []
    for (const shard of plan.shards) {
      const result = results.get(shard.id)
      if (result === undefined) shards.push(summarise(shard, items, plan.firstItem))
      else ended.push(result)
    }
    events.push({ type: 'segmentPlanned', batchId, segment, itemCount: plan.itemCount, shards, ended })
  }
  return events
}

async function readResults(store: ObjectStore, batchId: string): Promise<Map<string, ShardResult>> {
  const folder = keys.resultFolder(batchId)
  const names: string[] = []
  for await (const { key } of store.list(folder)) names.push(key)
  const results = new Map<string, ShardResult>()
  const readers = Array.from({ length: READS_AT_ONCE }, async () => {
    for (let key = names.pop(); key !== undefined; key = names.pop()) {
      const record = await store.getJson<CommitRecord>(key)
      if (record !== null) results.set(record.shardId, summariseRecord(record))
    }
  })
  await Promise.all(readers)
  return results
}
