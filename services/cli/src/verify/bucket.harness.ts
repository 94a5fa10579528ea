import type { ObjectStore } from '@darkroom/chassis'
import { imageName, keys } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, DoneDocument, ItemLine, ItemResult, PlanSegment } from '@darkroom/proto'
import { createHash } from 'node:crypto'

export const ID = 'b0123456789abcdefghijkl'
const PIN = `emoji-sd@sha256:${'a'.repeat(64)}`
const TIME = '2026-11-23T00:00:00.000Z'

export const sha256 = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')
export function putJson(store: ObjectStore, key: string, value: unknown): Promise<void> {
  return store.put(key, JSON.stringify(value))
}

function itemLine(index: number): ItemLine {
  return {
    index,
    customId: `item \u2028 ${index}`,
    task: 'text-to-image',
    checkpoint: PIN,
    prompt: 'a cat',
    negativePrompt: '',
    width: 64,
    height: 64,
    scheduler: 'PNDMScheduler',
    schedulerConfig: {},
    numInferenceSteps: 20,
    guidanceScale: 3,
    eta: 0,
    seed: 10 * index,
    numImages: index === 0 ? 2 : 1,
  }
}

async function rendered(store: ObjectStore, item: ItemLine): Promise<ItemResult> {
  const images = []
  for (let n = 0; n < item.numImages; n++) {
    const bytes = `picture ${n} of ${item.index}`
    const name = imageName(item.index, n, sha256(bytes), 'png')
    await store.put(keys.image(ID, name), bytes)
    images.push({
      n,
      seed: item.seed + n,
      name,
      sha256: sha256(bytes),
      bytes: bytes.length,
      width: item.width,
      height: item.height,
    })
  }
  const { index, customId, scheduler, numInferenceSteps } = item
  return { index, customId, state: 'rendered', scheduler, numInferenceSteps, images, seconds: 1, warnings: [] }
}

/** An ended batch of three items in two shards: the first shard holds a rendered and a failed item, the second failed whole. */
export async function writeEndedBatch(store: ObjectStore): Promise<void> {
  const items = [itemLine(0), itemLine(1), itemLine(2)]
  const input = items.map((item) => `${JSON.stringify(item)}\n`).join('')
  await store.put(keys.inputPart(ID, 0), input)
  const part = {
    key: keys.inputPart(ID, 0),
    firstItem: 0,
    itemCount: 3,
    bytes: Buffer.byteLength(input),
    sha256: sha256(input),
    segmentOffsets: [0],
  }
  await putJson(store, keys.batch(ID), {
    id: ID,
    tenant: 'default',
    createdAt: TIME,
    itemCount: 3,
    imageCount: 4,
    checkpoints: [PIN],
    parts: [part],
    metadata: {},
    traceparent: '',
  } satisfies BatchDocument)
  const shard = { checkpoint: PIN, task: 'text-to-image', width: 64, height: 64 }
  const shards = [
    { ...shard, id: '00000-00000', items: [0, 1] },
    { ...shard, id: '00000-00001', items: [2] },
  ]
  await putJson(store, keys.planSegment(ID, 0), {
    batchId: ID,
    segment: 0,
    firstItem: 0,
    itemCount: 3,
    shards,
  } satisfies PlanSegment)
  const first = await rendered(store, items[0]!)
  const second: ItemResult = { index: 1, customId: items[1]!.customId, state: 'failed', code: 'X', message: 'is bad' }
  const base = { batchId: ID, attempt: 1, committedAt: TIME }
  await putJson(store, keys.result(ID, '00000-00000'), {
    ...base,
    shardId: '00000-00000',
    kind: 'rendered',
    workerId: 'w',
    checkpoint: PIN,
    startedAt: TIME,
    deviceSeconds: 1,
    items: [first, second],
  } satisfies CommitRecord)
  const failure = { code: 'Y', message: 'was bad' }
  await putJson(store, keys.result(ID, '00000-00001'), {
    ...base,
    shardId: '00000-00001',
    kind: 'failed',
    itemCount: 1,
    ...failure,
  } satisfies CommitRecord)
  const third = { index: 2, customId: items[2]!.customId, state: 'failed', ...failure, shardId: '00000-00001' }
  await writeEnd(store, [{ ...first, shardId: '00000-00000' }], [{ ...second, shardId: '00000-00000' }, third])
}

/** The result files, and a done.json that agrees with them. */
export async function writeEnd(
  store: ObjectStore,
  output: readonly object[],
  errors: readonly object[],
): Promise<void> {
  const file = async (key: string, lines: readonly object[]) => {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    // Bytes: the S3 client takes an empty text for a stream.
    await store.put(key, Buffer.from(text))
    return { key, lines: lines.length, bytes: Buffer.byteLength(text), sha256: sha256(text) }
  }
  await putJson(store, keys.done(ID), {
    batchId: ID,
    state: 'completed',
    startedAt: TIME,
    endedAt: TIME,
    items: { rendered: 1, failed: 2, cancelled: 0 },
    images: 2,
    shards: 2,
    schedulers: [],
    output: await file(keys.output(ID), output),
    errors: await file(keys.errors(ID), errors),
  } satisfies DoneDocument)
}
