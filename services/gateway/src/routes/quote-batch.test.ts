import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway[Symbol.asyncDispose]())

async function quote(body: string, type = 'application/json', query = ''): Promise<{ status: number; json: object }> {
  const headers = { 'content-type': type }
  const response = await fetch(`${gateway.url}/api/v1/quote${query}`, { method: 'POST', headers, body })
  return { status: response.status, json: (await response.json()) as object }
}

test('a quote counts images that cost the same together, asks the coordinator, and stores nothing', async () => {
  const before = await gateway.storedKeys()
  const items = [
    { prompt: 'a fox', seed: 1 },
    { prompt: 'an owl', seed: 2, numImages: 3 },
    { prompt: 'an owl', numInferenceSteps: 9 },
  ]
  const { status, json } = await quote(JSON.stringify({ defaults: { checkpoint: 'emoji-sd' }, items }))
  expect(status).toBe(200)
  expect(json).toEqual({
    items: 3,
    images: 5,
    deviceSeconds: 12,
    workers: 3,
    secondsAlone: 4,
    secondsBehindAll: null,
    isMeasured: true,
    price: null,
  })
  const asked = gateway.coordinator.quoted.map(({ item, count }) => [item.numInferenceSteps, item.numImages, count])
  expect(asked).toEqual([
    [expect.any(Number), 1, 4n],
    [9, 1, 1n],
  ])
  expect(gateway.coordinator.quoted[0]!.item.checkpoint).toBe(gateway.pins['emoji-sd'])
  expect(await gateway.storedKeys()).toEqual(before)
})

test('the pictures of what is quoted are looked at, and none is kept', async () => {
  const picture = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'teal' } })
    .png()
    .toBuffer()
  const [image, broken] = [picture, picture.subarray(0, 20)].map(
    (bytes) => `data:image/png;base64,${bytes.toString('base64')}`,
  )
  const item = { task: 'image-to-image', prompt: 'a fox', strength: 0.5 }
  const of = (defaults: object, ...items: object[]) =>
    JSON.stringify({ defaults: { checkpoint: 'emoji-sd', ...defaults }, items })
  const pictures = () => Array.fromAsync(gateway.store.list('inputs/'))
  const before = await pictures()
  expect(await quote(of({}, { ...item, image }, { ...item, image }))).toMatchObject({ status: 200, json: { items: 2 } })
  expect(await quote(of({ image }, item))).toMatchObject({ status: 200, json: { items: 1 } })
  expect(await quote(of({}, { ...item, image: broken }))).toMatchObject({
    status: 400,
    json: { errors: [{ field: 'items[0].image' }] },
  })
  expect(await pictures()).toEqual(before)
  // One that was quoted is no upload, and is stored with a batch all the same.
  await gateway.accept([{ checkpoint: 'emoji-sd', ...item, image }])
  expect(await pictures()).toHaveLength(before.length + 1)
})

test('a quote of lines is read as a stream, with its defaults in the query', async () => {
  const lines = Array.from({ length: 5_000 }, (_, n) => `{"prompt":"apple ${n}"}\n`).join('')
  const { json } = await quote(lines, 'application/x-ndjson', '?checkpoint=emoji-sd')
  expect(json).toMatchObject({ items: 5_000, images: 5_000 })
  expect(gateway.coordinator.quoted).toHaveLength(1)
})

test('a quote refuses what a batch is refused for, and names it', async () => {
  const items = [{ checkpoint: 'emoji-sd', prompt: 'a fox', width: 3 }]
  expect(await quote(JSON.stringify({ items }))).toMatchObject({
    status: 400,
    json: { errors: [{ field: 'items[0].width' }] },
  })
  expect(await quote('{"items":[]}')).toMatchObject({ status: 400 })
})
