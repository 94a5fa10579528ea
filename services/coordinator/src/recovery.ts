import { Limit } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys, readShard, schedulerImagesOf } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, CompletedDocument, ControlDocument } from '@darkroom/proto'
import type { FarmEvent, MeasuredShard, SegmentSummary } from './core/messages.ts'
import type { ShardResult, ShardSummary } from './core/state.ts'
import { inOrder } from './in-order.ts'
import { itemsOf, segmentCountOf } from './planner/batch-reader.ts'
import type { BatchReader } from './planner/batch-reader.ts'
import { needsOf } from './planner/batch-needs.ts'
import { summarise } from './planner/plan-segment.ts'
import { summariseRecord } from './records.ts'

const READS_AT_ONCE = 64
const SEGMENTS_AT_ONCE = 8

interface Ended {
  readonly result: ShardResult
  readonly startedAtMs: number
}

/** A planned segment as the bucket has it. */
interface Recovered {
  readonly segment: number
  readonly summary: SegmentSummary
  readonly measured: readonly MeasuredShard[]
  readonly startedAtMs: number
}

/**
 * Everything that the bucket says of a batch that is not ended: its plan so far, the shards that have their records, the wish
 * to cancel it. Of segments that are known to be completed nothing is read. Null where the batch is ended or was never accepted.
 */
export async function recoverBatch(
  store: ObjectStore,
  reader: BatchReader,
  batchId: string,
): Promise<Extract<FarmEvent, { type: 'batchOpened' }> | null> {
  // Of a batch that was just accepted nothing else is there to read.
  const there = await store.namesIn(keys.batchFolder(batchId))
  if (there.has(keys.done(batchId))) return null
  // A listing may be late.
  if (!there.has(keys.batch(batchId)) && (await store.head(keys.batch(batchId))) === null) return null
  const read = async <T>(key: string): Promise<T | null> => (there.has(key) ? store.getJson<T>(key) : null)
  const [batch, control, completed] = await Promise.all([
    reader.batch(batchId),
    read<ControlDocument>(keys.control(batchId)),
    read<CompletedDocument>(keys.completed(batchId)),
  ])
  const isPlanned = there.has(keys.planFolder(batchId))
  const recovered = isPlanned ? await recoverSegments(store, reader, batch, completed) : []
  const { id, itemCount, imageCount, createdAt, tenant } = batch
  const startedAtMs = Math.min(
    Date.parse(completed?.startedAt ?? '') || Infinity,
    ...recovered.map((one) => one.startedAtMs),
  )
  return {
    type: 'batchOpened',
    batch: {
      id,
      itemCount,
      imageCount,
      schedulerImages: schedulerImagesOf(batch),
      createdAtMs: Date.parse(createdAt),
      tenant,
      priority: control?.priority ?? 0,
      isInteractive: batch.isInteractive ?? false,
      expiresAtMs: batch.expiresAt === undefined ? null : Date.parse(batch.expiresAt),
      isPaused: control?.isPaused ?? false,
      completeByMs: control?.completeBy === undefined ? null : Date.parse(control.completeBy),
      approveAfter: batch.approveAfter ?? null,
      isApproved: control?.isApproved === true,
      pausedItems: control?.pausedItems ?? [],
      cancelledItems: control?.cancelledItems ?? [],
      needs: await needsOf(reader, batch),
    },
    segmentCount: segmentCountOf(batch),
    completed,
    segments: new Map(recovered.map(({ segment, summary }) => [segment, summary])),
    measured: recovered.flatMap(({ measured }) => measured),
    startedAtMs: startedAtMs === Infinity ? null : startedAtMs,
    isCancelled: there.has(keys.cancel(batchId)),
  }
}

/** Those that were open when last looked at, and those that were planned since. */
async function recoverSegments(
  store: ObjectStore,
  reader: BatchReader,
  batch: BatchDocument,
  completed: CompletedDocument | null,
): Promise<Recovered[]> {
  const limit = new Limit(READS_AT_ONCE)
  const recover = (segment: number): Promise<Recovered | null> => recoverSegment(store, reader, batch, segment, limit)
  const found: Recovered[] = []
  for await (const segment of inOrder(completed?.openSegments ?? [], SEGMENTS_AT_ONCE, recover))
    if (segment !== null) found.push(segment)
  const first = completed?.plannedSegments ?? 0
  const later = Array.from({ length: segmentCountOf(batch) - first }, (_, n) => first + n)
  for await (const segment of inOrder(later, SEGMENTS_AT_ONCE, recover)) {
    if (segment === null) break
    found.push(segment)
    if (segment.summary.isClosed === true) break
  }
  return found
}

/** Null where it is not planned. */
async function recoverSegment(
  store: ObjectStore,
  reader: BatchReader,
  batch: BatchDocument,
  segment: number,
  limit: Limit,
): Promise<Recovered | null> {
  const plan = await reader.plan(batch.id, segment)
  if (plan === null) return null
  if (plan.isClosed === true) {
    const summary = { shards: [], ended: [], isClosed: true } as const
    return { segment, summary, measured: [], startedAtMs: Infinity }
  }
  const records = await readRecords(store, batch.id, segment, limit)
  const resultOf = async (shardId: string): Promise<ShardResult | null> => records.get(shardId)?.result ?? null
  const read = (await Promise.all(plan.shards.map((shard) => readShard(shard, resultOf)))).flat()
  const ended = read.flatMap(({ record }) => record ?? [])
  const shards: ShardSummary[] = []
  const measured: MeasuredShard[] = []
  // The items are wanted only for what is left to do.
  if (ended.length < read.length) {
    const items = await reader.items(batch.id, segment)
    for (const { shard, record } of read) {
      const summary = summarise(shard, itemsOf(shard, items, plan))
      if (record === null) shards.push(summary)
      else measured.push({ ...summary, result: record })
    }
  }
  const startedAtMs = records.values().reduce((first, record) => Math.min(first, record.startedAtMs), Infinity)
  return { segment, summary: { shards, ended }, measured, startedAtMs }
}

async function readRecords(
  store: ObjectStore,
  batchId: string,
  segment: number,
  limit: Limit,
): Promise<ReadonlyMap<string, Ended>> {
  const names = await Array.fromAsync(store.list(keys.segmentResults(batchId, segment)), ({ key }) => key)
  const read = await Promise.all(names.map((key) => limit.run(() => store.getJson<CommitRecord>(key))))
  const records = read.filter((record) => record !== null)
  return new Map(
    records.map((record) => {
      const startedAtMs = record.kind === 'rendered' ? Date.parse(record.startedAt) : Infinity
      return [record.shardId, { result: summariseRecord(record), startedAtMs }]
    }),
  )
}
