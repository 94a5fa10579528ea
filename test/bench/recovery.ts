import { Limit, ObjectStore } from '@darkroom/chassis'
import { BatchReader, createState, decide, recoverBatch } from '@darkroom/coordinator/internal'
import { startS3Server } from '@darkroom/local/s3'
import { keys, SEGMENT_ITEMS, shardIdOf } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, CompletedDocument, PlanSegment } from '@darkroom/proto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { FARM_SETTINGS } from './core-farm.ts'
import type { BenchResult } from './main.ts'
import { round } from './statistics.ts'

/**
 * How long a coordinator that takes over needs for an open batch, from the first request to the bucket until the core has it: a
 * million items in shards of 64, of which a tenth is not planned yet and the last 32 planned segments are half done. With what its
 * predecessor had stored of the completed segments (completed.json), and without, as for a batch that has none. The local S3
 * server runs in the same process, so that its time counts too.
 *
 * Prediction: with it well under a second, as 32 plans and some hundred records are read; without it as long as 14,000 records take,
 * about 10 s.
 * Outcome, 2026-11-26: 0.53 and 14.2 s.
 */

const ID = 'b0123456789abcdefghijkl'
const PIN = `emoji-sd@sha256:${'a'.repeat(64)}`
const SHARD_ITEMS = 64
const OPEN_SEGMENTS = 32
const TIME = '2026-11-26T00:00:00.000Z'
const KEYS = { accessKeyId: 'bench', secretAccessKey: 'bench-secret' }

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { items: { type: 'string', default: '1000000' } } })
  const itemCount = Number(values.items)
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-bench-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const s3 = stack.use(await startS3Server({ directory, fsync: false, ...KEYS }))
  const config = { endpoint: s3.url, region: 'us-east-1', bucket: 'bench', forcePathStyle: true, ...KEYS }
  const store = stack.use(ObjectStore.open(config))
  await store.ensureBucket()
  console.log(`writing a batch of ${itemCount} items …`)
  const planned = await writeBatch(store, itemCount)
  const withIt = await secondsToOpen(store)
  await store.delete(keys.completed(ID))
  const without = await secondsToOpen(store)
  console.log(
    `${planned} planned segments: ${withIt.toFixed(2)} s with completed.json, ${without.toFixed(2)} s without`,
  )
  return {
    values: { seconds: round(withIt), secondsWithout: round(without), ratio: round(without / withIt, 1) },
    baseline: 'the same without completed.json',
    pairs: 1,
  }
}

async function secondsToOpen(store: ObjectStore): Promise<number> {
  const start = performance.now()
  const event = (await recoverBatch(store, new BatchReader(store), ID))!
  const farm = createState(FARM_SETTINGS, 0)
  decide(farm, event, 0)
  const { open, rendered } = farm.batches.get(ID)!
  console.log(`${rendered} items rendered, ${open.size} shards open`)
  return (performance.now() - start) / 1000
}

/** @returns how many segments are planned */
async function writeBatch(store: ObjectStore, itemCount: number): Promise<number> {
  const segments = Math.ceil(itemCount / SEGMENT_ITEMS)
  const planned = Math.floor(0.9 * segments)
  const firstOpen = planned - OPEN_SEGMENTS
  const lines = Array.from({ length: OPEN_SEGMENTS * SEGMENT_ITEMS }, (_, n) => lineOf(firstOpen * SEGMENT_ITEMS + n))
  const bytes = lines.reduce((sum, line) => sum + line.length, 0)
  const segmentOffsets = Array.from({ length: OPEN_SEGMENTS }, (_, n) =>
    lines.slice(0, n * SEGMENT_ITEMS).reduce((sum, line) => sum + line.length, 0),
  )
  const key = keys.inputPart(ID, 1)
  const firstItem = firstOpen * SEGMENT_ITEMS
  // Items of other segments are never read.
  const part = { key, firstItem, itemCount: lines.length, bytes, sha256: '', segmentOffsets }
  const batch: BatchDocument = {
    id: ID,
    tenant: 'default',
    createdAt: TIME,
    itemCount,
    imageCount: itemCount,
    checkpoints: [PIN],
    parts: [part],
    metadata: {},
    traceparent: '',
  }
  await store.put(key, lines.join(''))
  await store.put(keys.batch(ID), JSON.stringify(batch))
  const perSegment = SEGMENT_ITEMS / SHARD_ITEMS
  const limit = new Limit(16)
  const writeSegment = async (segment: number): Promise<void> => {
    await store.put(keys.planSegment(ID, segment), JSON.stringify(planOf(segment)))
    const ended = segment < firstOpen ? perSegment : perSegment / 2
    for (let n = 0; n < ended; n++) {
      const record = recordOf(segment, n)
      await store.put(keys.result(ID, record.shardId), JSON.stringify(record))
    }
  }
  await Promise.all(Array.from({ length: planned }, (_, segment) => limit.run(() => writeSegment(segment))))
  const rendered = firstOpen * SEGMENT_ITEMS
  const completed: CompletedDocument = {
    batchId: ID,
    startedAt: TIME,
    plannedSegments: planned,
    openSegments: Array.from({ length: OPEN_SEGMENTS }, (_, n) => firstOpen + n),
    shards: firstOpen * perSegment,
    counts: { rendered, failed: 0, cancelled: 0, images: rendered, imagesFailed: 0, imagesFlagged: 0, itemsWarned: 0 },
    schedulers: [{ scheduler: 'DDIMScheduler', images: rendered, steps: 20 * rendered, seconds: rendered }],
  }
  await store.put(keys.completed(ID), JSON.stringify(completed))
  return planned
}

function lineOf(index: number): string {
  return `{"index":${index},"customId":"item-${index}","task":"text-to-image","checkpoint":"${PIN}","prompt":"a red apple, number ${index}","width":512,"height":512,"scheduler":"DDIMScheduler","schedulerConfig":{},"numInferenceSteps":20,"guidanceScale":4,"eta":0,"seed":${index},"numImages":1}\n`
}

function planOf(segment: number): PlanSegment {
  const firstItem = segment * SEGMENT_ITEMS
  const shards = Array.from({ length: SEGMENT_ITEMS / SHARD_ITEMS }, (_, n) => ({
    id: shardIdOf(segment, n),
    checkpoint: PIN,
    task: 'text-to-image',
    width: 512,
    height: 512,
    items: Array.from({ length: SHARD_ITEMS }, (_unused, m) => firstItem + n * SHARD_ITEMS + m),
  }))
  return { batchId: ID, segment, firstItem, itemCount: SEGMENT_ITEMS, shards }
}

function recordOf(segment: number, number: number): CommitRecord {
  const first = segment * SEGMENT_ITEMS + number * SHARD_ITEMS
  const sha256 = 'a'.repeat(64)
  return {
    kind: 'rendered',
    batchId: ID,
    shardId: shardIdOf(segment, number),
    attempt: 1,
    committedAt: TIME,
    startedAt: TIME,
    workerId: 'w1',
    checkpoint: PIN,
    deviceSeconds: SHARD_ITEMS,
    items: Array.from({ length: SHARD_ITEMS }, (_, n) => ({
      index: first + n,
      customId: `item-${first + n}`,
      state: 'rendered' as const,
      scheduler: 'DDIMScheduler',
      numInferenceSteps: 20,
      steps: 20,
      images: [
        {
          n: 0,
          seed: first + n,
          name: `${first + n}-0-${sha256}.png`,
          sha256,
          bytes: 400_000,
          width: 512,
          height: 512,
        },
      ],
      seconds: 1,
      warnings: [],
    })),
  }
}
