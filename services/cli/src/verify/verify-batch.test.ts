import { DarkroomError, ObjectStore } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { keys } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, DoneDocument, ItemResult, PlanSegment } from '@darkroom/proto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ID, putJson, sha256, writeEnd, writeEndedBatch } from './bucket.harness.ts'
import { verifyBatch } from './verify-batch.ts'

const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }

let root: string
let server: S3Server
let store: ObjectStore

beforeAll(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'darkroom-verify-'))
  server = await startS3Server({ directory: path.join(root, 's3'), fsync: false, ...CREDENTIALS })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

let count = 0
beforeEach(async () => {
  const bucket = `bucket-${++count}`
  store = ObjectStore.open({ endpoint: server.url, region: 'us-east-1', bucket, forcePathStyle: true, ...CREDENTIALS })
  await store.ensureBucket()
  await writeEndedBatch(store)
})
afterEach(() => store[Symbol.dispose]())

/** Changes a stored document. */
async function edit<T>(key: string, change: (document: T) => T | void): Promise<void> {
  const document = (await store.getJson<T>(key))!
  await putJson(store, key, change(document) ?? document)
}

const linesOf = async (key: string): Promise<object[]> => {
  const lines = Buffer.from((await store.get(key))!)
    .toString()
    .split('\n')
    .filter(Boolean)
  return lines.map((line) => JSON.parse(line) as object)
}

const FIRST = keys.result(ID, '00000-00000')
const SECOND = keys.result(ID, '00000-00001')
const PLAN = keys.planSegment(ID, 0)

type Rendered = Extract<CommitRecord, { kind: 'rendered' }>
type RenderedItem = Extract<ItemResult, { state: 'rendered' }>
/** A document that a test may spoil. */
type Spoilt<T> = { -readonly [K in keyof T]: Spoilt<T[K]> }

const editRecord = (change: (record: Spoilt<Rendered>, item: Spoilt<RenderedItem>) => void): Promise<void> =>
  edit<Spoilt<Rendered>>(FIRST, (record) => change(record, record.items[0] as Spoilt<RenderedItem>))

const failed = (n: number) => ({ n, seed: n, code: 'RENDER_FAILED', message: 'is black' })

const firstImage = async (): Promise<string> => {
  const record = (await store.getJson<Rendered>(FIRST))!
  return keys.image(ID, (record.items[0] as RenderedItem).images[0]!.name)
}

const SEEDED: readonly (readonly [name: string, found: string, seed: () => Promise<unknown>])[] = [
  ['an input part that is gone', 'is not there', () => store.delete(keys.inputPart(ID, 0))],
  [
    'an input part with other bytes',
    'other bytes than were accepted',
    async () => {
      const bytes = Buffer.from((await store.get(keys.inputPart(ID, 0)))!).toString()
      await store.put(keys.inputPart(ID, 0), bytes.replace('a cat', 'a dog'))
    },
  ],
  [
    'an accepted item that is gone',
    'batch.json says 4 items',
    () => edit<Spoilt<BatchDocument>>(keys.batch(ID), (batch) => void (batch.itemCount = 4)),
  ],
  ['a completed batch without its plan', 'has no plan', () => store.delete(PLAN)],
  [
    'an item in no shard',
    'item 1 is in no shard',
    () => edit<Spoilt<PlanSegment>>(PLAN, ({ shards }) => void (shards[0]!.items = [0])),
  ],
  [
    'an item in two shards',
    'item 1 is planned twice',
    () => edit<Spoilt<PlanSegment>>(PLAN, ({ shards }) => void (shards[1]!.items = [1, 2])),
  ],
  [
    'a planned item that nobody sent',
    'plans item 7',
    () => edit<Spoilt<PlanSegment>>(PLAN, ({ shards }) => void (shards[1]!.items = [2, 7])),
  ],
  [
    'an item among those of another size',
    'another checkpoint, task or size',
    () => edit<Spoilt<PlanSegment>>(PLAN, ({ shards }) => void (shards[1]!.width = 32)),
  ],
  ['a shard without a record', 'shard 00000-00001 has no commit record', () => store.delete(SECOND)],
  [
    'a record of no planned shard',
    'belongs to no planned shard',
    async () => putJson(store, keys.result(ID, '00000-00009'), await store.getJson(SECOND)),
  ],
  [
    'a record under another name',
    `names ${ID}/00000-00005`,
    () => edit<Spoilt<CommitRecord>>(SECOND, (record) => void (record.shardId = '00000-00005')),
  ],
  [
    'a record that ends another number of items',
    'ends 2 items, the shard has 1',
    () => edit<Spoilt<{ itemCount: number }>>(SECOND, (record) => void (record.itemCount = 2)),
  ],
  ['a record that leaves an item out', 'covers other items', () => editRecord(({ items }) => void items.pop())],
  [
    'a record that has an item twice',
    'covers other items',
    () => editRecord(({ items }) => void items.push(items[0]!)),
  ],
  [
    'a shard rendered with another checkpoint',
    'was rendered with emoji-sd@sha256:b',
    () => editRecord((record) => void (record.checkpoint = record.checkpoint.replaceAll('a'.repeat(64), 'b'))),
  ],
  [
    'an item rendered by another scheduler',
    'another customId, scheduler',
    () => editRecord((_, item) => void (item.scheduler = 'DDIMScheduler')),
  ],
  [
    'an item with an image too few',
    'has 1 images and 0 failed ones',
    () => editRecord((_, item) => void item.images.pop()),
  ],
  ['an image committed twice', 'has number 0', () => editRecord((_, item) => void (item.images[1] = item.images[0]!))],
  [
    'an image that failed and is there',
    'has 2 images and 1 failed ones',
    () => editRecord((_, item) => void (item.failedImages = [failed(1)])),
  ],
  [
    'a failed image of another number',
    'has number 2 and seed 2',
    () => editRecord((_, item) => void ([item.failedImages] = [[failed(2)], item.images.pop()])),
  ],
  [
    'an item that counts as rendered without any image',
    'has 0 images and 2 failed ones',
    () => editRecord((_, item) => void ([item.failedImages, item.images] = [[failed(0), failed(1)], []])),
  ],
  [
    'a done.json that counts failed images wrongly',
    'done.json counts 1 failed images',
    () => edit<Spoilt<DoneDocument>>(keys.done(ID), (d) => void (d.imagesFailed = 1)),
  ],
  ['an image of another seed', 'seed 99', () => editRecord((_, item) => void (item.images[0]!.seed = 99))],
  [
    'an image whose name is not its hash',
    'does not name its item',
    () => editRecord((_, item) => void (item.images[0]!.sha256 = sha256('else'))),
  ],
  [
    'an image of another format than was asked for',
    'does not name its item, number, hash and format',
    () => editRecord((_, item) => void (item.images[0]!.name = item.images[0]!.name.replace('.png', '.webp'))),
  ],
  ['a committed image that is gone', 'is committed but not there', async () => store.delete(await firstImage())],
  [
    'a committed image that was overwritten',
    'has other bytes than were committed',
    async () => store.put(await firstImage(), 'picture 0 of 1'),
  ],
  [
    'a done.json that counts wrongly',
    'done.json counts 2/1/0',
    () => edit<Spoilt<DoneDocument>>(keys.done(ID), (d) => void (d.items = { rendered: 2, failed: 1, cancelled: 0 })),
  ],
  [
    'a done.json that counts images wrongly',
    'done.json counts 3 images',
    () => edit<Spoilt<DoneDocument>>(keys.done(ID), (d) => void (d.images = 3)),
  ],
  ['an output.jsonl that is gone', 'output.jsonl is not there', () => store.delete(keys.output(ID))],
  [
    'an output.jsonl that was changed',
    'output.jsonl has other bytes',
    async () => {
      const text = Buffer.from((await store.get(keys.output(ID)))!).toString()
      await store.put(keys.output(ID), text.replace('"seconds":1', '"seconds":2'))
    },
  ],
  ['an output.jsonl that is no JSON', 'a line that is no JSON', () => store.put(keys.output(ID), 'x\n')],
  [
    'an item in both result files',
    'stands twice',
    async () => {
      const line = JSON.parse(Buffer.from((await store.get(keys.output(ID)))!).toString()) as object
      await writeEnd(store, [line], [line, line])
    },
  ],
  [
    'a failed item without a line',
    'errors.jsonl has 0 lines for 2',
    async () => {
      const line = JSON.parse(Buffer.from((await store.get(keys.output(ID)))!).toString()) as object
      await writeEnd(store, [line], [])
    },
  ],
]

describe('verify', () => {
  test('a batch whose bucket holds everything once is clean', async () => {
    const report = await verifyBatch(store, ID)
    expect(report).toEqual({
      batchId: ID,
      violations: [],
      counts: { rendered: 1, failed: 2, cancelled: 0 },
      checked: { items: 3, images: 2, shards: 2 },
    })
  })

  describe('of a shard that was split', () => {
    const HALVES = ['00000-00000a', '00000-00000b'] as const

    beforeEach(async () => {
      const whole = (await store.getJson<Rendered>(FIRST))!
      const { batchId, shardId, attempt, committedAt } = whole
      const split: CommitRecord = { kind: 'split', batchId, shardId, attempt, committedAt, into: HALVES }
      await putJson(store, FIRST, split)
      for (const [n, half] of HALVES.entries())
        await putJson(store, keys.result(ID, half), { ...whole, shardId: half, items: [whole.items[n]!] })
      const [output, errors] = await Promise.all([keys.output(ID), keys.errors(ID)].map(linesOf))
      await writeEnd(
        store,
        [{ ...output![0], shardId: HALVES[0] }],
        [{ ...errors![0], shardId: HALVES[1] }, errors![1]!],
      )
      await edit<Spoilt<DoneDocument>>(keys.done(ID), (done) => void (done.shards += 2))
    })

    test('counts the halves and not the whole', async () => {
      expect(await verifyBatch(store, ID)).toMatchObject({
        violations: [],
        counts: { rendered: 1, failed: 2, cancelled: 0 },
        checked: { items: 3, images: 2, shards: 4 },
      })
    })

    test('misses a half without a record, and finds one that nobody split it into', async () => {
      await store.delete(keys.result(ID, HALVES[1]))
      await edit<Spoilt<CommitRecord & { kind: 'split' }>>(FIRST, (record) => void (record.into = ['x', 'y']))
      const { violations } = await verifyBatch(store, ID)
      expect(violations.join('\n')).toContain('shard 00000-00000b has no commit record')
      expect(violations.join('\n')).toContain('shard 00000-00000 was split into x and y')
    })

    test('finds one of a single item, which cannot be split', async () => {
      const { batchId, attempt, committedAt } = (await store.getJson<CommitRecord>(SECOND))!
      const into = ['00000-00001a', '00000-00001b'] as const
      await putJson(store, SECOND, { kind: 'split', batchId, shardId: '00000-00001', attempt, committedAt, into })
      expect((await verifyBatch(store, ID)).violations.join('\n')).toContain('has 1 items and was split')
    })
  })

  test('an item that says which of its images failed is whole', async () => {
    await editRecord((_, item) => {
      item.images.pop()
      item.failedImages = [failed(1)]
    })
    const { items } = (await store.getJson<Rendered>(FIRST))!
    await writeEnd(store, [{ ...items[0]!, shardId: '00000-00000' }], await linesOf(keys.errors(ID)))
    await edit<DoneDocument>(keys.done(ID), (done) => ({ ...done, images: 1, imagesFailed: 1 }))
    const { violations, checked } = await verifyBatch(store, ID)
    expect(violations).toEqual([])
    expect(checked).toEqual({ items: 3, images: 1, shards: 2 })
  })

  test.for(SEEDED)('finds %s', async ([, found, seed]) => {
    await seed()
    const { violations } = await verifyBatch(store, ID)
    expect(violations.join('\n')).toContain(found)
  })

  test('items of a cancelled batch that were never planned count as cancelled', async () => {
    for (const key of [PLAN, FIRST, SECOND]) await store.delete(key)
    await writeEnd(store, [], [])
    await edit<DoneDocument>(keys.done(ID), (done) => ({
      ...done,
      state: 'cancelled',
      items: { rendered: 0, failed: 0, cancelled: 3 },
      images: 0,
      shards: 0,
    }))
    const { violations, counts } = await verifyBatch(store, ID)
    expect(violations).toEqual([])
    expect(counts.cancelled).toBe(3)
  })

  test('a batch that has not ended is refused, and so is one that is not there', async () => {
    await store.delete(keys.done(ID))
    await expect(verifyBatch(store, ID)).rejects.toThrow(/has not ended: darkroom watch/)
    await expect(verifyBatch(store, 'bnone')).rejects.toThrow(DarkroomError)
  })
})
