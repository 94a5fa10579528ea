import { createLogger, Metrics, ObjectStore } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { keys } from '@darkroom/proto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEvents } from '../events.ts'
import { uploadPicture } from '../worker.harness.ts'
import { PictureShelf } from './picture-shelf.ts'

const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const never = new AbortController().signal

let directory: string
let s3: S3Server
let store: ObjectStore
let gets = 0
beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-pictures-'))
  s3 = await startS3Server({ directory, fsync: false, ...CREDENTIALS })
  const config = { endpoint: s3.url, region: 'us-east-1', bucket: 'pictures', forcePathStyle: true, ...CREDENTIALS }
  store = ObjectStore.open(config, { onRequest: (op) => void (gets += op === 'GetObject' ? 1 : 0) })
  await store.ensureBucket()
})
afterAll(async () => {
  store[Symbol.dispose]()
  await s3[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

/** 300 bytes decoded, of one colour. */
async function upload(red: number): Promise<string> {
  const background = { r: red, g: 20, b: 30 }
  return uploadPicture(
    store,
    await sharp({ create: { width: 10, height: 10, channels: 3, background } })
      .png()
      .toBuffer(),
  )
}

function openShelf(capacityBytes = 10_000): PictureShelf {
  return new PictureShelf({ store, events: createEvents(new Metrics(), createLogger('test', 'silent')), capacityBytes })
}

test('a picture is fetched and decoded once for all who hold it, in memory that threads share', async () => {
  using shelf = openShelf()
  const key = await upload(1)
  const before = gets
  const [one, other] = await Promise.all([
    shelf.hold({ image: key }, never),
    shelf.hold({ image: key, maskImage: key }, never),
  ])
  expect(gets - before).toBe(1)
  expect(one.pictures.image).toMatchObject({ width: 10, height: 10, channels: 3 })
  expect([...one.pictures.image!.data.subarray(0, 3)]).toEqual([1, 20, 30])
  expect(one.pictures.image!.data.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect(other.pictures.maskImage).toBe(one.pictures.image)
  one[Symbol.dispose]()
  other[Symbol.dispose]()
  using _again = await shelf.hold({ image: key }, never)
  expect(gets - before).toBe(1)
})

test('while as much is in use as there is room for, the next item waits; what nobody uses makes room', async () => {
  using shelf = openShelf(500)
  const [first, second, third] = await Promise.all([upload(11), upload(12), upload(13)])
  const one = await shelf.hold({ image: first, maskImage: second }, never)
  const before = gets
  const waiting = shelf.hold({ image: third }, never)
  const giveUp = new AbortController()
  const givenUp = shelf.hold({ image: third }, giveUp.signal)
  giveUp.abort()
  await expect(givenUp).rejects.toMatchObject({ code: 'CANCELLED' })
  expect(gets).toBe(before)
  one[Symbol.dispose]()
  using _two = await waiting
  // Of the two that were let go, the one used last was kept: 600 bytes are more than the room.
  using _three = await shelf.hold({ image: first }, never)
  expect(gets - before).toBe(2)
})

test('a picture that is missing, of other bytes, no picture or no upload is refused with its field', async () => {
  using shelf = openShelf()
  const missing = keys.inputPicture('default', '0'.repeat(64))
  const tampered = keys.inputPicture('default', '1'.repeat(64))
  await store.put(
    tampered,
    await sharp({ create: { width: 2, height: 2, channels: 3, background: 'red' } })
      .png()
      .toBuffer(),
  )
  const text = await uploadPicture(store, Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'))
  const cut = await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer()
  const broken = await uploadPicture(store, cut.subarray(0, cut.length / 2))
  const refusal = (image: string): Promise<unknown> => shelf.hold({ image }, never)
  await expect(refusal(missing)).rejects.toMatchObject({
    code: 'RENDER_FAILED',
    message: `image: the object store has no ${missing}; upload the picture again`,
  })
  await expect(refusal(tampered)).rejects.toMatchObject({
    code: 'RENDER_FAILED',
    message: expect.stringContaining('other bytes than its name says'),
  })
  for (const key of [text, broken]) await expect(refusal(key)).rejects.toMatchObject({ code: 'RENDER_FAILED' })
  await expect(refusal('batches/b1/batch.json')).rejects.toMatchObject({
    code: 'RENDER_FAILED',
    message: "image: 'batches/b1/batch.json' is no key of an uploaded picture",
  })
})

test('a picture of more pixels than allowed is refused by its header, one of more bytes before it is fetched', async () => {
  using shelf = openShelf()
  const wide = await sharp({ create: { width: 8_192, height: 2_049, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  await expect(shelf.hold({ image: await uploadPicture(store, wide) }, never)).rejects.toMatchObject({
    code: 'RENDER_FAILED',
    message: expect.stringContaining('8192x2049'),
  })
  const heavy = await uploadPicture(store, new Uint8Array(20 * 2 ** 20 + 1))
  const before = gets
  await expect(shelf.hold({ maskImage: heavy }, never)).rejects.toMatchObject({
    message: expect.stringMatching(/^maskImage: .* has 20971521 bytes/),
  })
  expect(gets).toBe(before)
})

test('a picture that was missing is found once it is uploaded', async () => {
  using shelf = openShelf()
  const key = await upload(77)
  const bytes = (await store.get(key))!
  await store.delete(key)
  await expect(shelf.hold({ image: key }, never)).rejects.toMatchObject({ code: 'RENDER_FAILED' })
  await store.put(key, bytes)
  using held = await shelf.hold({ image: key }, never)
  expect(held.pictures.image).toMatchObject({ width: 10 })
})
