import { create, fromJson } from '@bufbuild/protobuf'
import { FIRST_SECONDS_PER_UNIT } from '@darkroom/coordinator/internal'
import { startNatsServer } from '@darkroom/local'
import { ItemSchema, keys, SEGMENT_ITEMS, ShardAssignmentSchema, ShardCompletionSchema } from '@darkroom/proto'
import type { BatchDocument, ItemLine, ShardAssignment } from '@darkroom/proto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BareDispatch } from './bare-dispatch.ts'
import type { BenchResult } from './main.ts'
import type { MemoryStore } from './memory-store.ts'
import { NullFarm } from './null-farm.ts'
import { median, ratioSummary, timed } from './statistics.ts'

/**
 * Shards a second through the coordinator's whole loop, from the submit of a batch to the last completion that is counted: planned,
 * the plan stored, decided, dispatched by a real nats-server, pulled, its record written, completed, acknowledged, the record read.
 * Over nats.js alone, which publishes, consumes, replies and acknowledges as many messages of the same sizes among as many
 * workers with as many under way. Interleaved pairs; each side has a nats-server of its own.
 *
 * The workers take shards as services/worker does and render nothing. They attach by gRPC and have a connection to NATS each; all
 * of them run in the coordinator's process, as their counterparts do on the other side, so that both sides have one core.
 * The object store is this process's memory: the local S3 server would measure itself.
 *
 * Prediction before the first run: 0.25. A worker asks three things of the server for each shard that it pulls, and waits
 * for the answer to its ack; the bare loop asks nothing and waits for nothing but what is published.
 *
 * Measured 2026-11-26 on two busy cores: 0.11, 300 shards or 19,000 prompts a second; the goals of 0.5 and of 150,000 are missed,
 * and the bare loop itself sends 2,000 to 4,000 shards of 64 prompts a second here. The process is busy throughout. Of its time for
 * the farm 21 % goes into writes to sockets, of which a shard takes six, two of them to ask for what is known of the worker's
 * consumer already; 11 % into reading and cutting segments, 7 % into making messages of items of JSON, 6 % into encoding and
 * publishing them, 7 % into the worker's decoding, 7 % into its record, 4 % into reading that, 9 % into collecting garbage. What is
 * decided takes 0.3 %.
 *
 * Tried 2026-11-27: a consumer that is kept from pull to pull, rather than asked for twice. Predicted 0.14; measured 0.11 to 0.14 beside
 * 0.11. Not kept: by these questions a shard that is given back overtakes the next pull, which the properties of services/lib/sim
 * hold, and a consumer that is gone was noticed only by its failure.
 */

const WORKERS = 32
/** The coordinator's default. */
const WINDOW = 2
const SHARD_ITEMS = 64
const [WIDTH, HEIGHT] = [88, 80]
/** What the cost model takes one step of that size to last before it has learned; it stays so, since that is what it is told. */
const ITEM_SECONDS = FIRST_SECONDS_PER_UNIT * WIDTH * HEIGHT
/** No less, also at a batch's end: 64 items fit, and one more does not. */
const TARGET_SHARD_SECONDS = 0.5
const PIN = `emoji-sd@sha256:${'a'.repeat(64)}`

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({
    args: [...args],
    options: { pairs: { type: 'string', default: '15' }, shards: { type: 'string', default: '1024' } },
  })
  const [pairs, shards] = [Number(values.pairs), Number(values.shards)]
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-bench-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const startServer = async (name: string): Promise<string> =>
    stack.use(await startNatsServer({ directory: path.join(directory, name) })).url
  const farm = stack.use(
    await NullFarm.start({
      natsUrl: await startServer('farm'),
      workers: WORKERS,
      targetShardSeconds: TARGET_SHARD_SECONDS,
      itemSeconds: ITEM_SECONDS,
    }),
  )
  const bare = stack.use(await BareDispatch.start(await startServer('bare'), WORKERS, REPLY))

  const ratios: number[] = []
  const rates: number[] = []
  // The first pair warms both sides.
  for (let pair = 0; pair <= pairs; pair++) {
    const bareSeconds = await timed(() => bare.run(shards, shardOf(), WINDOW))
    const batchId = `b${String(pair).padStart(22, '0')}`
    accept(farm.store, batchId, shards * SHARD_ITEMS)
    const seconds = await farm.run(batchId, shards)
    console.log(
      `${pair === 0 ? 'warm-up' : `pair ${pair}`}: shards/s of the farm, of nats.js alone: ` +
        `${Math.round(shards / seconds)}, ${Math.round(shards / bareSeconds)}; ratio ${(bareSeconds / seconds).toFixed(3)}`,
    )
    if (pair === 0) continue
    ratios.push(bareSeconds / seconds)
    rates.push(shards / seconds)
  }
  return {
    values: {
      ...ratioSummary('ratio', ratios),
      tasksPerSecond: Math.round(median(rates)),
      promptsPerSecond: Math.round(median(rates) * SHARD_ITEMS),
    },
    baseline:
      'nats.js alone: publish, consume, reply, ack; on both sides one process of coordinator and workers beside a nats-server, and for the farm an object store in that process',
    pairs,
  }
}

const REPLY = create(ShardCompletionSchema, {
  batchId: `b${'0'.repeat(22)}`,
  shardId: '00000-00000',
  attempt: 1,
  workerId: 'w00',
  committed: true,
})

function itemOf(index: number): ItemLine {
  return {
    index,
    customId: `item-${index}`,
    task: 'text-to-image',
    checkpoint: PIN,
    prompt: `a watercolour of a lighthouse on a cliff at dusk, number ${index}`,
    negativePrompt: '',
    width: WIDTH,
    height: HEIGHT,
    scheduler: 'DDIMScheduler',
    schedulerConfig: {},
    numInferenceSteps: 1,
    guidanceScale: 0,
    eta: 0,
    seed: index,
    numImages: 1,
  }
}

/** As large as the farm's. */
function shardOf(): ShardAssignment {
  const items = Array.from({ length: SHARD_ITEMS }, (_, index) =>
    fromJson(ItemSchema, itemOf(index + SEGMENT_ITEMS) as unknown as Parameters<typeof fromJson>[1]),
  )
  const { batchId, shardId, attempt } = REPLY
  return create(ShardAssignmentSchema, { batchId, shardId, attempt, checkpoint: PIN, items })
}

/** As the gateway accepts a batch. */
function accept(store: MemoryStore, id: string, itemCount: number): void {
  const lines = Array.from({ length: itemCount }, (_, index) => `${JSON.stringify(itemOf(index))}\n`)
  const segmentOffsets: number[] = []
  let bytes = 0
  for (const [index, line] of lines.entries()) {
    if (index % SEGMENT_ITEMS === 0) segmentOffsets.push(bytes)
    bytes += line.length
  }
  const key = keys.inputPart(id, 0)
  const batch: BatchDocument = {
    id,
    tenant: 'default',
    createdAt: new Date().toISOString(),
    itemCount,
    imageCount: itemCount,
    checkpoints: [PIN],
    parts: [{ key, firstItem: 0, itemCount, bytes, sha256: '', segmentOffsets }],
    metadata: {},
    traceparent: '',
  }
  void store.put(key, lines.join(''))
  void store.put(keys.batch(id), JSON.stringify(batch))
}
