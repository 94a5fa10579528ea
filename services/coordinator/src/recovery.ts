import type { ObjectStore } from '@darkroom/chassis'
import { keys, readShard } from '@darkroom/proto'
import type { BatchDocument, CancelDocument, CommitRecord, ControlDocument } from '@darkroom/proto'
import type { FarmEvent, MeasuredShard, SegmentSummary } from './core/messages.ts'
import type { ShardResult, ShardSummary } from './core/state.ts'
import { segmentCountOf } from './planner/batch-reader.ts'
import type { BatchReader } from './planner/batch-reader.ts'
import { needsOf } from './planner/batch-needs.ts'
import { summarise } from './planner/plan-segment.ts'
import { summariseRecord } from './records.ts'

const READS_AT_ONCE = 16

interface Ended {
  readonly result: ShardResult
  readonly startedAtMs: number
}

/**
 * Everything that the bucket says of a batch that is not ended: its plan so far, the shards that have their records, the wish
 * to cancel it. Null where the batch is ended or was never accepted.
 */
export async function recoverBatch(
  store: ObjectStore,
  reader: BatchReader,
  batchId: string,
): Promise<Extract<FarmEvent, { type: 'batchOpened' }> | null> {
  const [done, isAccepted, cancel, control] = await Promise.all([
    store.head(keys.done(batchId)),
    store.head(keys.batch(batchId)),
    store.getJson<CancelDocument>(keys.cancel(batchId)),
    store.getJson<ControlDocument>(keys.control(batchId)),
  ])
  if (done !== null || isAccepted === null) return null
  const batch = await reader.batch(batchId)
  const records = await readRecords(store, batchId)
  const { segments, measured } = await recoverSegments(reader, batch, records)
  const { id, itemCount, imageCount, createdAt, tenant } = batch
  const startedAtMs = records.values().reduce((first, record) => Math.min(first, record.startedAtMs), Infinity)
  return {
    type: 'batchOpened',
    batch: {
      id,
      itemCount,
      imageCount,
      createdAtMs: Date.parse(createdAt),
      tenant,
      priority: control?.priority ?? 0,
      isInteractive: false,
      isPaused: control?.isPaused ?? false,
      needs: await needsOf(store, batch),
    },
    segmentCount: segmentCountOf(batch),
    segments,
    measured,
    startedAtMs: startedAtMs === Infinity ? null : startedAtMs,
    isCancelled: cancel !== null,
  }
}

async function recoverSegments(
  reader: BatchReader,
  batch: BatchDocument,
  records: ReadonlyMap<string, Ended>,
): Promise<{ segments: SegmentSummary[]; measured: MeasuredShard[] }> {
  const segments: SegmentSummary[] = []
  const measured: MeasuredShard[] = []
  for (let segment = 0; segment < segmentCountOf(batch); segment++) {
    const plan = await reader.plan(batch.id, segment)
    if (plan === null) break
    if (plan.isClosed === true) {
      segments.push({ shards: [], ended: [], isClosed: true })
      break
    }
    const resultOf = async (shardId: string): Promise<ShardResult | null> => records.get(shardId)?.result ?? null
    const read = (await Promise.all(plan.shards.map((shard) => readShard(shard, resultOf)))).flat()
    const ended = read.flatMap(({ record }) => record ?? [])
    const shards: ShardSummary[] = []
    // The items are wanted only for what is left to do.
    if (ended.length < read.length) {
      const items = await reader.items(batch.id, segment)
      for (const { shard, record } of read) {
        const summary = summarise(shard, items, plan.firstItem)
        if (record === null) shards.push(summary)
        else measured.push({ ...summary, result: record })
      }
    }
    segments.push({ shards, ended })
  }
  return { segments, measured }
}

async function readRecords(store: ObjectStore, batchId: string): Promise<ReadonlyMap<string, Ended>> {
  const names: string[] = []
  for await (const { key } of store.list(keys.resultFolder(batchId))) names.push(key)
  const records = new Map<string, Ended>()
  const readers = Array.from({ length: READS_AT_ONCE }, async () => {
    for (let key = names.pop(); key !== undefined; key = names.pop()) {
      const record = await store.getJson<CommitRecord>(key)
      if (record === null) continue
      const startedAtMs = record.kind === 'rendered' ? Date.parse(record.startedAt) : Infinity
      records.set(record.shardId, { result: summariseRecord(record), startedAtMs })
    }
  })
  await Promise.all(readers)
  return records
}
