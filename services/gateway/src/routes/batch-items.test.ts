import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BatchState, imageName, keys, shardIdOf } from '@darkroom/proto'
import type { DoneDocument, ItemResult, PlannedShard, PlanSegment } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

interface Page {
  readonly items: readonly {
    index: number
    customId: string
    state: string
    shardId: string | null
    request: { prompt: string; seed: number }
    images: readonly { url: string; seed: number }[]
    error: { code: string } | null
  }[]
  readonly nextCursor: string | null
}

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway[Symbol.asyncDispose]())

async function submit(count: number): Promise<string> {
  const items = Array.from({ length: count }, (_, i) => ({ checkpoint: 'emoji-sd', prompt: `apple ${i}`, seed: i }))
  return (await gateway.accept(items)).id
}

/** Plans one segment, `size` items a shard, as the coordinator does. */
async function plan(
  batchId: string,
  segment: number,
  firstItem: number,
  itemCount: number,
  size: number,
): Promise<void> {
  const indices = Array.from({ length: itemCount }, (_, i) => firstItem + i)
  const shards = Array.from({ length: Math.ceil(itemCount / size) }, (_, n): PlannedShard => {
    const items = indices.slice(n * size, (n + 1) * size)
    const pin = gateway.pins['emoji-sd']
    return { id: shardIdOf(segment, n), checkpoint: pin, task: 'text-to-image', width: 64, height: 64, items }
  })
  const document: PlanSegment = { batchId, segment, firstItem, itemCount, shards }
  await gateway.store.put(keys.planSegment(batchId, segment), JSON.stringify(document))
}

async function record(batchId: string, shardId: string, rest: object): Promise<void> {
  const base = { batchId, shardId, attempt: 1, committedAt: new Date().toISOString() }
  await gateway.store.put(keys.result(batchId, shardId), JSON.stringify({ ...base, ...rest }))
}

function rendered(index: number): ItemResult {
  const name = imageName(index, 0, 'a'.repeat(64), 'png')
  const image = { n: 0, seed: index, name, sha256: 'a'.repeat(64), bytes: 9, width: 64, height: 64 }
  const customId = `item-${index}`
  return { index, customId, state: 'rendered', scheduler: 'PNDMScheduler', numInferenceSteps: 50, images: [image], seconds: 1.5, warnings: [] }
} // prettier-ignore

async function page(id: string, query = ''): Promise<Page> {
  const response = await fetch(`${gateway.url}/api/v1/batches/${id}/items${query}`)
  expect(response.status).toBe(200)
  return (await response.json()) as Page
}

test('each item stands where its shard stands', async () => {
  const id = await submit(10)
  await plan(id, 0, 0, 10, 2)
  const lacking = {
    ...rendered(0),
    steps: 99,
    failedImages: [{ n: 1, seed: 1, code: 'RENDER_FAILED', message: 'nan' }],
  }
  const failed: ItemResult = { index: 1, customId: 'item-1', state: 'failed', code: 'RENDER_FAILED', message: 'nan' }
  await record(id, '00000-00000', { kind: 'rendered', items: [lacking, failed] })
  await record(id, '00000-00001', { kind: 'failed', itemCount: 2, code: 'INTERNAL', message: 'five attempts' })
  await record(id, '00000-00002', { kind: 'cancelled', itemCount: 2 })
  gateway.coordinator.put(id, { state: BatchState.RUNNING, runningShards: ['00000-00003'] })
  const { items, nextCursor } = await page(id)
  expect(nextCursor).toBeNull()
  expect(items.map(({ state }) => state)).toEqual([
    'rendered', 'failed', 'failed', 'failed', 'cancelled', 'cancelled', 'running', 'running', 'queued', 'queued',
  ]) // prettier-ignore
  expect(items.map(({ index, request }) => [index, request.prompt])).toEqual(items.map((_, i) => [i, `apple ${i}`]))
  expect(items[0]!.images).toMatchObject([
    {
      seed: 0,
      url: expect.stringContaining(`/api/v1/batches/${id}/images/${imageName(0, 0, 'a'.repeat(64), 'png')}?expires=`),
    },
  ])
  expect(items[0]).toMatchObject({ steps: 99, failedImages: lacking.failedImages })
  expect(items[1]).toMatchObject({ steps: null, failedImages: [] })
  expect(items.map(({ error }) => error?.code ?? null).slice(0, 5)).toEqual([
    null,
    'RENDER_FAILED',
    'INTERNAL',
    'INTERNAL',
    'CANCELLED',
  ])
})

test('an item of a shard that was split stands where its half stands', async () => {
  const id = await submit(5)
  await plan(id, 0, 0, 5, 5)
  await record(id, '00000-00000', { kind: 'split', into: ['00000-00000a', '00000-00000b'] })
  await record(id, '00000-00000a', { kind: 'split', into: ['00000-00000aa', '00000-00000ab'] })
  await record(id, '00000-00000aa', { kind: 'rendered', items: [rendered(0), rendered(1)] })
  await record(id, '00000-00000ab', { kind: 'failed', itemCount: 1, code: 'RENDER_FAILED', message: 'alone' })
  gateway.coordinator.put(id, { state: BatchState.RUNNING, runningShards: ['00000-00000b'] })
  const { items } = await page(id)
  expect(items.map(({ state }) => state)).toEqual(['rendered', 'rendered', 'failed', 'running', 'running'])
})

describe('a retry', () => {
  const retry = (id: string): Promise<Response> =>
    fetch(`${gateway.url}/api/v1/batches/${id}/retry`, { method: 'POST' })
  const end = (id: string, state: DoneDocument['state']): Promise<void> =>
    gateway.store.put(keys.done(id), JSON.stringify({ batchId: id, state }))

  test('is a new batch of the items that failed or were cancelled, each with its name and seed', async () => {
    const id = await submit(6)
    await plan(id, 0, 0, 6, 2)
    const failed: ItemResult = { index: 1, customId: 'item-1', state: 'failed', code: 'RENDER_FAILED', message: 'nan' }
    await record(id, '00000-00000', { kind: 'rendered', items: [rendered(0), failed] })
    await record(id, '00000-00001', { kind: 'rendered', items: [rendered(2), rendered(3)] })
    await record(id, '00000-00002', { kind: 'cancelled', itemCount: 2 })
    await end(id, 'cancelled')
    const response = await retry(id)
    expect(response.status).toBe(201)
    const batch = (await response.json()) as { id: string }
    expect(batch).toMatchObject({ state: 'queued', retryOf: id })
    const stored = await gateway.store.getJson(keys.batch(batch.id))
    expect(stored).toMatchObject({
      itemCount: 3,
      imageCount: 3,
      schedulerImages: { PNDMScheduler: 3 },
      checkpoints: [gateway.pins['emoji-sd']],
      retryOf: id,
    })
    expect(response.headers.get('location')).toBe(`/api/v1/batches/${batch.id}`)
    const { items } = await page(batch.id)
    expect(items.map(({ index, customId, request }) => [index, customId, request.seed])).toEqual([
      [0, 'item-1', 1],
      [1, 'item-4', 4],
      [2, 'item-5', 5],
    ])
    const source = await fetch(`${gateway.url}/api/v1/batches/${id}`)
    expect(await source.json()).toMatchObject({ retryOf: null })
  })

  test('goes over all segments, also those that were never planned', async () => {
    const id = await submit(2_000)
    await end(id, 'cancelled')
    const batch = (await (await retry(id)).json()) as { id: string }
    expect(await gateway.store.getJson(keys.batch(batch.id))).toMatchObject({ itemCount: 2_000 })
    const { items } = await page(batch.id, '?cursor=1990')
    expect(items.map(({ index, customId }) => [index, customId]).at(-1)).toEqual([1_999, 'item-1999'])
  })

  test('waits for the end of its batch, and has nothing to do where all was rendered', async () => {
    const id = await submit(1)
    const early = await retry(id)
    expect([early.status, await early.text()]).toEqual([409, expect.stringContaining('has not ended')])
    await plan(id, 0, 0, 1, 1)
    await record(id, '00000-00000', { kind: 'rendered', items: [rendered(0)] })
    await end(id, 'completed')
    const before = await gateway.storedKeys()
    const idle = await retry(id)
    expect([idle.status, await idle.text()]).toEqual([409, expect.stringContaining('nothing to retry')])
    expect(await gateway.storedKeys()).toEqual(before)
  })
})

test('pages over several segments give each item once, in order', async () => {
  const id = await submit(2500)
  await plan(id, 0, 0, 1024, 100)
  await plan(id, 1, 1024, 1024, 100)
  const indices: number[] = []
  let next: string | null = `/api/v1/batches/${id}/items?limit=700`
  while (next !== null) {
    const response: Response = await fetch(gateway.url + next)
    indices.push(...((await response.json()) as Page).items.map(({ index }) => index))
    next = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1] ?? null
  }
  expect(indices).toEqual(Array.from({ length: 2500 }, (_, i) => i))
})

test('the items of one state are found wherever they are', async () => {
  const id = await submit(2500)
  await plan(id, 0, 0, 1024, 1024)
  await plan(id, 1, 1024, 1024, 512)
  await record(id, '00001-00001', { kind: 'failed', itemCount: 512, code: 'INTERNAL', message: 'five attempts' })
  const first = await page(id, '?state=failed&limit=500')
  expect(first.items.map(({ index }) => index)).toEqual(Array.from({ length: 500 }, (_, i) => 1536 + i))
  const second = await page(id, `?state=failed&limit=500&cursor=${first.nextCursor}`)
  expect(second.items.map(({ index }) => index)).toEqual(Array.from({ length: 12 }, (_, i) => 2036 + i))
  expect(second.nextCursor).toBeNull()
})

test('of a batch that was cancelled, items that were never planned are cancelled, coordinator or not', async () => {
  await using alone = await startTestGateway()
  const { id } = await alone.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  const done: Partial<DoneDocument> = { batchId: id, state: 'cancelled' }
  await alone.store.put(keys.done(id), JSON.stringify(done))
  await alone.coordinator.stop()
  const response = await fetch(`${alone.url}/api/v1/batches/${id}/items`)
  expect(((await response.json()) as Page).items).toMatchObject([{ state: 'cancelled', error: { code: 'CANCELLED' } }])
})

test.for(['?limit=0', '?limit=1001', '?state=done', '?cursor=../x', '?page=2'])('%s is refused', async (query) => {
  const id = await submit(1)
  expect((await fetch(`${gateway.url}/api/v1/batches/${id}/items${query}`)).status).toBe(400)
})

test('an unknown batch has no items', async () => {
  expect((await fetch(`${gateway.url}/api/v1/batches/b00000000000000000000zz/items`)).status).toBe(404)
})
