import { createLogger, DarkroomError, Limit, Metrics, ObjectStore } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { keys } from '@darkroom/proto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { PngEncoder } from '../encoding/png-encoder.ts'
import type { Engine } from '../engine/engine.ts'
import type { RenderedPicture, RenderRequest } from '../engine/messages.ts'
import { RenderFailure } from '../engine/render-failure.ts'
import { createEvents } from '../events.ts'
import { PreviewOutbox } from '../link/preview-outbox.ts'
import { shardOf, uploadPicture } from '../worker.harness.ts'
import { HeldShard } from './held-shard.ts'
import { PictureShelf } from './picture-shelf.ts'
import { renderShard } from './render-shard.ts'

const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const BATCH = 'b0123456789abcdefghijkl'
const PIN = `emoji-sd@sha256:${'a'.repeat(64)}`

const PLAIN = { width: 8, height: 8, channels: 3, background: 'red' } as const

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
async function render(
  answer: (request: RenderRequest) => boolean | null | Promise<null>,
  items: Parameters<typeof shardOf>[1],
  onReleased = (): void => {},
) {
  const metrics = new Metrics()
  const events = createEvents(metrics, createLogger('test', 'silent'))
  const engine = {
    settings: { device: { kind: 'cpu' }, determinism: 'request' },
    async render(_pin: string, request: RenderRequest): Promise<RenderedPicture> {
      const picture = { width: 2, height: 2, channels: 3, data: new Uint8Array(12).fill(request.seed) } as const
      return { picture, seconds: 1, steps: 2, warnings: [], isFlagged: await answer(request) }
    },
  } as unknown as Engine
  await using png = new PngEncoder((reason) => expect.unreachable(reason.message))
  using shelf = new PictureShelf({ store, events, capacityBytes: 1 })
  const pictures = {
    async hold(...asked: Parameters<PictureShelf['hold']>) {
      using held = new DisposableStack()
      held.defer(onReleased)
      const { pictures } = held.use(await shelf.hold(...asked))
      const kept = held.move()
      return { pictures, [Symbol.dispose]: () => kept.dispose() }
    },
  } as unknown as PictureShelf
  const parts = {
    engine,
    store,
    events,
    uploads: new Limit(8),
    unsent: new Limit(8),
    pictures,
    previews: new PreviewOutbox(),
    png,
  }
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

const black = new RenderFailure('the picture came out black all over', 0.25)

/** Fails the images of some seeds. */
const failing =
  (...seeds: readonly number[]) =>
  ({ seed }: RenderRequest): null => {
    if (seeds.includes(seed)) throw black
    return null
  }

test('an image that fails is told of with its reason, and the others of its item are kept', async () => {
  const items = [
    { seed: 3n, numImages: 3 },
    { seed: 6n, numImages: 2 },
  ]
  const { results, metrics } = await render(failing(4), items)
  const failedImages = [{ n: 1, seed: 4, code: 'RENDER_FAILED', message: black.message, seconds: 0.25 }]
  expect(results).toMatchObject([
    { state: 'rendered', images: [{ n: 0 }, { n: 2, seed: 5 }], failedImages, steps: 4, seconds: 2.25 },
    { state: 'rendered', images: [{ n: 0 }, { n: 1 }], steps: 4 },
  ])
  expect(results[1]).not.toHaveProperty('failedImages')
  expect(metrics).toContain('darkroom_failed_images_total{code="RENDER_FAILED"} 1')
})

test('an item fails where none of its images could be rendered, and no other with it', async () => {
  const items = [{ seed: 3n, numImages: 2 }, { seed: 7n }, { seed: 5n, numImages: 2 }]
  const { results, metrics } = await render(failing(3, 4, 7), items)
  expect(results).toMatchObject([
    {
      state: 'failed',
      message: `none of its 2 images could be rendered; image 0 with seed 3: ${black.message}`,
      seconds: 0.5,
    },
    { state: 'failed', message: black.message, seconds: 0.25 },
    { state: 'rendered' },
  ])
  expect(metrics).toContain('darkroom_failed_items_total{code="RENDER_FAILED"} 2')
  expect(metrics).not.toContain('darkroom_failed_images_total{')
})

test('an image that ends the attempt ends it at once, and the pictures are held until the others are done', async () => {
  const image = await uploadPicture(store, await sharp({ create: PLAIN }).png().toBuffer())
  const other = Promise.withResolvers<null>()
  const released: string[] = []
  const rendering = render(
    ({ seed }) => {
      if (seed === 3) throw new DarkroomError('INTERNAL', 'the engine is gone')
      return other.promise
    },
    [{ seed: 3n, numImages: 2, image }],
    () => released.push('pictures'),
  )
  await expect(rendering).rejects.toThrow('the engine is gone')
  expect(released).toEqual([])
  other.resolve(null)
  await vi.waitFor(() => expect(released).toEqual(['pictures']))
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
