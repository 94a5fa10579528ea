import type { ObjectStore } from '@darkroom/chassis'
import { BatchReader, planSegment } from '@darkroom/coordinator/internal'
import { keys, SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CoreFarm } from './core-farm.ts'
import type { MemoryFigures } from './memory.ts'
import { rssMiBOf } from './processes.ts'
import { round } from './statistics.ts'

// The process that `memory.ts` watches: it tells its figures and ends.

const WORKERS = 8
const PIN = `emoji-sd@sha256:${'a'.repeat(64)}`
const ITEM_SECONDS = 0.25
const SAMPLE_EVERY = 16
const WARM_UP_ITEMS = 100_000

async function measure(itemCount: number): Promise<MemoryFigures> {
  await runBatch(WARM_UP_ITEMS, () => {})
  const liveBefore = liveMiB()
  let live = liveBefore
  const before = rssMiBOf(process.pid)
  let peak = before
  const start = performance.now()
  const shards = await runBatch(itemCount, (isHalfWay) => {
    peak = Math.max(peak, rssMiBOf(process.pid))
    if (isHalfWay) live = liveMiB()
  })
  const seconds = (performance.now() - start) / 1000
  console.log(`${itemCount} items in ${shards} shards, planned and counted in ${seconds.toFixed(1)} s`)
  return {
    rssGrowthMiB: round(peak - before, 1),
    liveGrowthMiB: round(live - liveBefore, 1),
    items: itemCount,
    itemsPerSecond: Math.round(itemCount / seconds),
  }
}

/** @returns how many shards it was */
async function runBatch(itemCount: number, sample: (isHalfWay: boolean) => void): Promise<number> {
  const farm = new CoreFarm()
  const batch = batchOf(itemCount)
  const store = inventedStore(batch)
  const reader = new BatchReader(store)
  const parts = { store, reader, model: farm.state.costs, targetSeconds: 10 }
  for (let n = 0; n < WORKERS; n++) farm.addWorker(`w${n}`)
  farm.openUnplanned(batch.id, itemCount, Math.ceil(itemCount / SEGMENT_ITEMS))
  let shards = 0
  for (let done = 0; farm.state.batches.get(batch.id)!.state !== 'finalizing'; done++) {
    farm.nowMs += 1_000
    const plan = farm.plans.shift()
    if (plan !== undefined) {
      if (plan.segment === Math.floor(itemCount / SEGMENT_ITEMS / 2)) sample(true)
      const summary = await planSegment(parts, plan)
      farm.send({ type: 'segmentPlanned', batchId: batch.id, segment: plan.segment, summary })
      shards += summary.shards.length
    }
    for (const shard of farm.held.splice(0)) {
      const { itemCount: items } = farm.state.batches.get(batch.id)!.open.get(shard.shardId)!
      farm.end(shard, ITEM_SECONDS * items)
    }
    if (done % SAMPLE_EVERY === 0) sample(false)
  }
  return shards
}

/** Of the heap, after a collection. */
function liveMiB(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  return process.memoryUsage().heapUsed / 2 ** 20
}

function batchOf(itemCount: number): BatchDocument {
  const segments = Math.ceil(itemCount / SEGMENT_ITEMS)
  // Ranges are the items' own numbers: nobody looks at the bytes between.
  const segmentOffsets = Array.from({ length: segments }, (_, n) => n * SEGMENT_ITEMS)
  const part = { key: 'input', firstItem: 0, itemCount, bytes: itemCount, sha256: '', segmentOffsets }
  return {
    id: 'b1',
    tenant: 'default',
    createdAt: '2026-11-26T00:00:00.000Z',
    itemCount,
    imageCount: itemCount,
    checkpoints: [PIN],
    parts: [part],
    metadata: {},
    traceparent: '',
  }
}

function inventedStore(batch: BatchDocument): ObjectStore {
  const store: Pick<ObjectStore, 'getJson' | 'getRange' | 'putIfAbsent'> = {
    getJson: async <T>(key: string) => (key === keys.batch(batch.id) ? batch : null) as T | null,
    getRange: async (_key, first, last) => Buffer.from(linesOf(first, last + 1)),
    putIfAbsent: async () => 'created',
  }
  return store as ObjectStore
}

function linesOf(first: number, end: number): string {
  let lines = ''
  for (let index = first; index < end; index++) {
    lines += `{"index":${index},"customId":"item-${index}","task":"text-to-image","checkpoint":"${PIN}","prompt":"a red apple, number ${index}","width":512,"height":512,"scheduler":"DDIMScheduler","schedulerConfig":{},"numInferenceSteps":20,"guidanceScale":4,"eta":0,"seed":${index},"numImages":1}\n`
  }
  return lines
}

const figures = await measure(Number(process.argv[2]))
process.send!(figures, () => process.disconnect())
