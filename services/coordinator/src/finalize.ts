import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type {
  BatchDocument,
  CommitRecord,
  DoneDocument,
  ErrorLine,
  OutputLine,
  PlannedShard,
  PlanSegment,
} from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { segmentCountOf } from './planner/batch-reader.ts'
import type { BatchReader } from './planner/batch-reader.ts'
import { summariseRecord } from './records.ts'

/** A growing file of lines: written at the upload's pace, counted and hashed on the way. */
class LineFile {
  readonly stream = new PassThrough({ highWaterMark: 1 << 20 })
  readonly #hash = createHash('sha256')
  lines = 0
  bytes = 0

  async write(line: object): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    this.#hash.update(bytes)
    this.lines++
    this.bytes += bytes.length
    if (!this.stream.write(bytes)) await once(this.stream, 'drain')
  }

  end(key: string): { key: string; lines: number; bytes: number; sha256: string } {
    this.stream.end()
    return { key, lines: this.lines, bytes: this.bytes, sha256: this.#hash.digest('hex') }
  }
}

/**
 * Ends a batch: output.jsonl and errors.jsonl from the commit records, in memory that does not grow with the batch, and
 * done.json last. Doing it again gives the same.
 * @throws DarkroomError INTERNAL when the records do not add up
 */
export async function finalizeBatch(
  store: ObjectStore,
  reader: BatchReader,
  batch: BatchDocument,
  isCancelled: boolean,
): Promise<DoneDocument> {
  const existing = await store.getJson<DoneDocument>(keys.done(batch.id))
  if (existing !== null) return existing
  const output = new LineFile()
  const errors = new LineFile()
  const uploads = Promise.all([
    store.putStream(keys.output(batch.id), output.stream, { contentType: 'application/x-ndjson' }),
    store.putStream(keys.errors(batch.id), errors.stream, { contentType: 'application/x-ndjson' }),
  ])
  uploads.catch((reason: unknown) => {
    output.stream.destroy(reason as Error)
    errors.stream.destroy(reason as Error)
  })
  const totals = { rendered: 0, failed: 0, cancelled: 0, images: 0, shards: 0, planned: 0 }
  const schedulers = new Map<string, { scheduler: string; images: number; steps: number; seconds: number }>()
  let startedAt: string | null = null
  for await (const { shard, record } of endedShards(store, batch)) {
    const result = summariseRecord(record)
    totals.shards++
    totals.planned += shard.items.length
    totals.rendered += result.rendered
    totals.failed += result.failed
    totals.cancelled += result.cancelled
    totals.images += result.images
    for (const tally of result.schedulers) {
      const sum = schedulers.get(tally.scheduler)
      schedulers.set(tally.scheduler, {
        scheduler: tally.scheduler,
        images: tally.images + (sum?.images ?? 0),
        steps: tally.steps + (sum?.steps ?? 0),
        seconds: tally.seconds + (sum?.seconds ?? 0),
      })
    }
    if (record.kind === 'rendered' && (startedAt === null || record.startedAt < startedAt)) startedAt = record.startedAt
    await writeLines(reader, shard, record, { output, errors })
  }
  // Items of segments that were never planned, since the batch was cancelled first.
  const unplanned = batch.itemCount - totals.planned
  const items = { rendered: totals.rendered, failed: totals.failed, cancelled: totals.cancelled + unplanned }
  if (items.rendered + items.failed + items.cancelled !== batch.itemCount || (unplanned > 0 && !isCancelled)) {
    throw new DarkroomError(
      'INTERNAL',
      `the records of batch ${batch.id} do not add up to its ${batch.itemCount} items`,
      { cause: { items, unplanned } },
    )
  }
  const files = { output: output.end(keys.output(batch.id)), errors: errors.end(keys.errors(batch.id)) }
  await uploads
  const done: DoneDocument = {
    batchId: batch.id,
    state: isCancelled ? 'cancelled' : 'completed',
    startedAt,
    endedAt: new Date().toISOString(),
    items,
    images: totals.images,
    shards: totals.shards,
    schedulers: [...schedulers.values()],
    ...files,
  }
  await store.putIfAbsent(keys.done(batch.id), JSON.stringify(done), { contentType: 'application/json' })
  return (await store.getJson<DoneDocument>(keys.done(batch.id)))!
}

async function* endedShards(
  store: ObjectStore,
  batch: BatchDocument,
): AsyncGenerator<{ shard: PlannedShard; record: CommitRecord }> {
  for (let segment = 0; segment < segmentCountOf(batch); segment++) {
    const plan = await store.getJson<PlanSegment>(keys.planSegment(batch.id, segment))
    if (plan === null) return
    for (const shard of plan.shards) {
      const record = await store.getJson<CommitRecord>(keys.result(batch.id, shard.id))
      if (record === null) throw new DarkroomError('INTERNAL', `shard ${shard.id} of batch ${batch.id} has no record`)
      yield { shard, record }
    }
  }
}

async function writeLines(
  reader: BatchReader,
  shard: PlannedShard,
  record: CommitRecord,
  { output, errors }: { output: LineFile; errors: LineFile },
): Promise<void> {
  if (record.kind === 'rendered') {
    for (const item of record.items) {
      if (item.state === 'rendered') await output.write({ ...item, shardId: shard.id } satisfies OutputLine)
      else await errors.write({ ...item, shardId: shard.id } satisfies ErrorLine)
    }
    return
  }
  if (record.kind === 'split') return
  for (const { index, customId } of await reader.shardItems(record.batchId, shard.id)) {
    const line: ErrorLine = {
      index,
      customId,
      state: record.kind,
      code: record.kind === 'failed' ? record.code : 'CANCELLED',
      message: record.kind === 'failed' ? record.message : 'the batch was cancelled',
      shardId: shard.id,
    }
    await errors.write(line)
  }
}
