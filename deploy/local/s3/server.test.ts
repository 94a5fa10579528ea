import { PutObjectCommand } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BUCKET, startRig, temporaryFolder } from './server.harness.ts'
import type { Rig } from './server.harness.ts'
import { Storage } from './storage.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let rig: Rig

beforeEach(async () => {
  folder = await temporaryFolder()
  rig = await startRig(folder.at)
})
afterEach(async () => {
  await rig[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function textOf(key: string): Promise<string | null> {
  const bytes = await rig.store.get(key)
  return bytes === null ? null : Buffer.from(bytes).toString()
}

test('a body that does not match its checksum is BadDigest and not stored', async () => {
  const ChecksumSHA256 = createHash('sha256').update('another').digest('base64')
  const put = rig.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'a', Body: 'body', ChecksumSHA256 }))
  await expect(put).rejects.toMatchObject({ name: 'BadDigest', $metadata: { httpStatusCode: 400 } })
  expect(await rig.store.head('a')).toBeNull()
  expect(await readdir(path.join(folder.at, 'drafts'))).toEqual([])
})

test('keys that a file system would confuse are objects of their own', async () => {
  const names = ['a', 'a/b', 'a/', 'A', 'a/../b', 'b', './b', 'é', 'e\u0301', '%2e%2e/b', 'a+b', 'a b']
  for (const name of names) await rig.store.put(name, `object ${name}`)
  const stored: (string | null)[] = []
  for (const name of names) stored.push(await textOf(name))
  expect(stored).toEqual(names.map((name) => `object ${name}`))
  const listed: string[] = []
  for await (const { key } of rig.store.list('')) listed.push(key)
  expect(listed).toEqual(names.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y))))
})

test('a crash between the write and the rename leaves the old object, and a restart finds all', async () => {
  await rig.store.put('overwritten', 'old', { contentType: 'text/plain' })
  await rig.store.put('other', 'other')
  await rig[Symbol.asyncDispose]()
  // A process that ends here has written all its bytes and renamed nothing.
  const draft = await new Storage(folder.at, { fsync: false }).draft()
  await draft.write(Buffer.from('new'))
  await draft.handle.close()

  rig = await startRig(folder.at)
  expect(await textOf('overwritten')).toBe('old')
  expect((await rig.store.getStream('overwritten'))!.contentType).toBe('text/plain')
  expect(await textOf('other')).toBe('other')
  expect(await readdir(path.join(folder.at, 'drafts'))).toEqual([])
})

test('who opened an object reads it to its end, though it is overwritten and deleted meanwhile', async () => {
  const old = Buffer.alloc(24 * 1024 * 1024, 'old')
  await rig.store.put('a', old)
  const stream = await rig.store.getStream('a')
  await rig.store.put('a', 'new')
  await rig.store.delete('a')
  expect((await buffer(stream!.body)).equals(old)).toBe(true)
})

/** Makes the fault happen to the next request and to none after it. */
function failOnce(fault: 'slowDownRate' | 'breakBeforeRate' | 'breakAfterRate'): void {
  const { faults } = rig.server
  faults.settings = { ...faults.settings, [fault]: 1 }
  faults.requests.clear()
  const count = faults.count.bind(faults)
  faults.count = (operation) => {
    const isFirst = faults.requests.size === 0
    count(operation)
    if (!isFirst) faults.settings = { ...faults.settings, [fault]: 0 }
  }
}

test('a conditional write whose answer is lost still says that it created the object', async () => {
  failOnce('breakAfterRate')
  expect(await rig.store.putIfAbsent('fence', 'mine')).toBe('created')
  expect(rig.server.faults.requests.get('PutObject')).toBe(2)
  expect(await rig.store.putIfAbsent('fence', 'theirs')).toBe('exists')
  expect(await textOf('fence')).toBe('mine')
})

test.each(['slowDownRate', 'breakBeforeRate', 'breakAfterRate'] as const)(
  'a read and a write are tried again after a fault of %s',
  async (fault) => {
    failOnce(fault)
    await rig.store.put('a', 'value')
    expect(rig.server.faults.requests.get('PutObject')).toBe(2)
    failOnce(fault)
    expect(await textOf('a')).toBe('value')
    expect(rig.server.faults.requests.get('GetObject')).toBe(2)
  },
)
