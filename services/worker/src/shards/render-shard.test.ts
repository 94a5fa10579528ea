import { createLogger, DarkroomError, Metrics, ObjectStore } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { keys } from '@darkroom/proto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PngEncoder } from '../encoding/png-encoder.ts'
import type { Engine } from '../engine/engine.ts'
import type { RenderedPicture, RenderRequest } from '../engine/messages.ts'
import { createEvents } from '../events.ts'
import { PreviewOutbox } from '../link/preview-outbox.ts'
import { shardOf } from '../worker.harness.ts'
import { HeldShard } from './held-shard.ts'
import { Limit } from './limit.ts'
import { PictureShelf } from './picture-shelf.ts'
import { renderShard } from './render-shard.ts'

const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const BATCH = 'b0123456789abcdefghijkl'
const PIN = `emoji-sd@sha256:${'a'.repeat(64)}`

let directory: string
let s3: S3Server
let store: ObjectStore
beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-render-'))
  s3 = await startS3Server({ directory, fsync: false, ...CREDENTIALS })
  store = ObjectStore.open({
    endpoint: s3.url,
    region: 'us-east-1',
    bucket: 'farm',
    forcePathStyle: true,
    ...CREDENTIALS,
  })
  await store.ensureBucket()
})
afterAll(async () => {
  store[Symbol.dispose]()
  await s3[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

/** Renders with an engine that is played, as no shipped checkpoint carries a safety checker. */
async function render(answer: (request: RenderRequest) => boolean | null, items: Parameters<typeof shardOf>[1]) {
  const metrics = new Metrics()
  const events = createEvents(metrics, createLogger('test', 'silent'))
  const engine = {
    device: { kind: 'cpu', name: 'played', reason: 'a test' },
    async render(_pin: string, request: RenderRequest): Promise<RenderedPicture> {
      const picture = { width: 2, height: 2, channels: 3, data: new Uint8Array(12).fill(request.seed) } as const
      return { picture, seconds: 1, steps: 2, warnings: [], isFlagged: answer(request) }
    },
  } as unknown as Engine
  await using png = new PngEncoder((reason) => expect.unreachable(reason.message))
  using pictures = new PictureShelf({ store, events, capacityBytes: 1 })
  const parts = { engine, store, events, uploads: new Limit(8), pictures, previews: new PreviewOutbox(), png }
  const shard = new HeldShard({ assignment: { ...shardOf(PIN, items), batchId: BATCH } } as ShardDelivery)
  const results = await renderShard(parts, shard)
  return { results, metrics: await metrics.registry.metrics() }
}

test('what the safety checker said of each image is in the record, and flagged ones are counted', async () => {
  const { results, metrics } = await render(({ seed }) => seed === 8, [{ seed: 7n, numImages: 2 }])
  expect(results).toMatchObject([{ images: [{ nsfwContentDetected: false }, { nsfwContentDetected: true }] }])
  expect(metrics).toContain('darkroom_flagged_images_total{checkpoint="emoji-sd"} 1')
})

test('where none judged, nothing is said', async () => {
  const { results } = await render(() => null, [{}])
  const [result] = results
  expect(result?.state === 'rendered' && result.images[0]).not.toHaveProperty('nsfwContentDetected')
})

test('the safety checker is left out only where the item says off', async () => {
  const asked: boolean[] = []
  await render(
    ({ safetyChecker }) => {
      asked.push(safetyChecker)
      return null
    },
    [{}, { safetyChecker: 'off' }, { safetyChecker: 'on' }],
  )
  expect(asked).toEqual([true, false, true])
})

test('an image that fails takes its item with it, and no other', async () => {
  const { results } = await render(
    ({ seed }) => {
      if (seed === 4) throw new DarkroomError('RENDER_FAILED', 'the picture came out black all over')
      return null
    },
    [
      { seed: 3n, numImages: 2 },
      { seed: 5n, numImages: 2 },
    ],
  )
  expect(results).toMatchObject([
    { state: 'failed', message: 'the picture came out black all over' },
    { state: 'rendered' },
  ])
})

test('each picture is stored as its item asks, under its extension and type', async () => {
  const { results } = await render(() => null, [{}, { outputFormat: 'jpeg' }, { outputFormat: 'webp' }])
  const names = results.map((result) => (result.state === 'rendered' ? result.images[0]!.name : ''))
  expect(names.map((name) => name.split('.').at(-1))).toEqual(['png', 'jpg', 'webp'])
  const stored = await Promise.all(names.map(async (name) => store.getStream(keys.image(BATCH, name))))
  expect(stored.map((stream) => stream?.contentType)).toEqual(['image/png', 'image/jpeg', 'image/webp'])
  for (const stream of stored) stream?.body.destroy()
})

test('an item whose format this worker does not know fails before it is rendered', async () => {
  const { results } = await render(() => expect.unreachable('rendered'), [{ outputFormat: 'tiff' }])
  expect(results).toMatchObject([{ state: 'failed', code: 'RENDER_FAILED', message: expect.stringMatching(/'tiff'/) }])
})
