import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { S3Client } from '@aws-sdk/client-s3'
import { probeConditionalWrites } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'

export interface Target {
  readonly store: ObjectStore
  /** The bare client, without retries: for what the store does not offer. */
  readonly client: S3Client
  readonly bucket: string
  /** Ends in a slash. Each check has its own and leaves nothing that matters under it. */
  readonly prefix: string
}

export interface Check {
  readonly name: string
  /** The farm cannot work without it: no endpoint is excused from it. */
  readonly isVital: boolean
  run(target: Target): Promise<void>
}

const MIB = 1024 * 1024
const KEYS = 1_100
const WRITERS = 32
/** Of one document: far more than there are coordinators. */
const EDITORS = 8

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Bytes that repeat with no power of two, so that a part in the wrong place shows. */
function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 13)) % 251))
}

async function refusedWith(status: number, sent: Promise<unknown>): Promise<void> {
  const reason = await sent.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  )
  if (!(reason instanceof S3ServiceException)) throw new Error(`expected status ${status}`, { cause: reason })
  assert.equal(reason.$metadata.httpStatusCode, status, `${reason.name}: ${reason.message}`)
}

async function gather<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of source) all.push(one)
  return all
}

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += pieceBytes) yield bytes.subarray(i, i + pieceBytes)
}

export const CHECKS: readonly Check[] = [
  {
    name: `of ${WRITERS} concurrent conditional writes of a key exactly one wins, and its bytes stay`,
    isVital: true,
    async run({ store, prefix }) {
      for (let round = 0; round < 4; round++) {
        const key = `${prefix}fence-${round}`
        const writers = Array.from({ length: WRITERS }, (_, i) => `writer ${i}`)
        const outcomes = await Promise.all(writers.map((writer) => store.putIfAbsent(key, writer)))
        const winners = writers.filter((_, i) => outcomes[i] === 'created')
        assert.equal(winners.length, 1, `${winners.length} winners: ${winners.join(', ')}`)
        assert.equal(Buffer.from((await store.get(key))!).toString(), winners[0])
      }
    },
  },
  {
    name: 'the probe of conditional writes passes',
    isVital: true,
    run: ({ store }) => probeConditionalWrites(store),
  },
  {
    name: 'a conditional write of a key that was deleted wins again',
    isVital: true,
    async run({ store, prefix }) {
      const key = `${prefix}again`
      assert.equal(await store.putIfAbsent(key, 'one'), 'created')
      assert.equal(await store.putIfAbsent(key, 'two'), 'exists')
      await store.delete(key)
      assert.equal(await store.putIfAbsent(key, 'three'), 'created')
    },
  },
  {
    name: 'an overwrite with If-Match is refused with 412 on another ETag and done on its own',
    isVital: true,
    async run({ client, bucket, prefix, store }) {
      const target = { Bucket: bucket, Key: `${prefix}guarded` }
      const { ETag } = await client.send(new PutObjectCommand({ ...target, Body: 'one' }))
      const other = '"00000000000000000000000000000000"'
      await refusedWith(412, client.send(new PutObjectCommand({ ...target, Body: 'two', IfMatch: other })))
      await client.send(new PutObjectCommand({ ...target, Body: 'three', IfMatch: ETag }))
      assert.equal(Buffer.from((await store.get(target.Key))!).toString(), 'three')
    },
  },
  {
    name: `of ${EDITORS} edits of a document at once none is lost`,
    isVital: true,
    async run({ store, prefix }) {
      const key = `${prefix}edited`
      const edit = (n: number) => store.editJson<number[]>(key, (stored) => [...(stored ?? []), n])
      const numbers = Array.from({ length: EDITORS }, (_, n) => n)
      await Promise.all(numbers.map(edit))
      assert.deepEqual(
        (await store.getJson<number[]>(key))!.toSorted((a, b) => a - b),
        numbers,
      )
    },
  },
  {
    name: 'a stream of unknown length goes up in parts and comes back whole',
    isVital: true,
    async run({ store, prefix }) {
      const bytes = pattern(20 * MIB + 12_345)
      const sent = await store.putStream(`${prefix}stream`, inPieces(bytes, 300_007), { contentType: 'image/png' })
      assert.deepEqual(sent, { bytes: bytes.length, sha256: sha256(bytes) })
      const stream = await store.getStream(`${prefix}stream`)
      assert.equal(stream!.size, bytes.length)
      assert.equal(stream!.contentType, 'image/png')
      assert.equal(sha256(await buffer(stream!.body)), sent.sha256)
    },
  },
  {
    name: 'an empty stream is an empty object',
    isVital: true,
    async run({ store, prefix }) {
      await store.putStream(`${prefix}empty`, inPieces(new Uint8Array(), 1))
      assert.equal((await store.get(`${prefix}empty`))!.length, 0)
    },
  },
  {
    name: 'a body with a wrong checksum is refused and not stored',
    isVital: false,
    async run({ client, bucket, prefix, store }) {
      const key = `${prefix}damaged`
      const ChecksumSHA256 = createHash('sha256').update('another body').digest('base64')
      await refusedWith(
        400,
        client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'body', ChecksumSHA256 })),
      )
      assert.equal(await store.head(key), null)
    },
  },
  {
    name: 'ranges give the bytes that were asked for, and one past the end is 416',
    isVital: true,
    async run({ store, client, bucket, prefix }) {
      const key = `${prefix}ranges`
      const bytes = pattern(100_000)
      await store.put(key, bytes)
      const same = (got: Uint8Array, want: Uint8Array): void => assert.equal(sha256(got), sha256(want))
      same(await store.getRange(key, 0, 0), bytes.subarray(0, 1))
      same(await store.getRange(key, 8_190, 70_000), bytes.subarray(8_190, 70_001))
      same(await store.getRange(key, 99_000, 200_000), bytes.subarray(99_000))
      const tail = await store.getStream(key, { start: 65_536 })
      assert.equal(tail!.size, 100_000 - 65_536)
      same(await buffer(tail!.body), bytes.subarray(65_536))
      await refusedWith(416, client.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range: 'bytes=100000-' })))
    },
  },
  {
    name: 'an aborted multipart upload leaves nothing',
    isVital: true,
    async run({ store, client, bucket, prefix }) {
      const target = { Bucket: bucket, Key: `${prefix}aborted` }
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(target))
      await client.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: pattern(5 * MIB) }))
      await client.send(new AbortMultipartUploadCommand({ ...target, UploadId }))
      await refusedWith(404, client.send(new ListPartsCommand({ ...target, UploadId })))
      assert.equal(await store.head(target.Key), null)
      assert.deepEqual(await gather(store.list(prefix)), [])
    },
  },
  {
    name: 'a stream that fails half way leaves nothing',
    isVital: true,
    async run({ store, prefix }) {
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield* inPieces(pattern(18 * MIB), MIB)
        throw new Error('the source broke')
      }
      await assert.rejects(store.putStream(`${prefix}broken`, failing()), /the source broke/)
      assert.deepEqual(await gather(store.list(prefix)), [])
    },
  },
  {
    name: `${KEYS} keys are listed over pages in byte order, from a start and folded at the slash`,
    isVital: true,
    async run({ store, client, bucket, prefix }) {
      const names = Array.from({ length: KEYS }, (_, i) => `${i % 7}/${String(i).padStart(5, '0')}`)
      // Bytes order these as written; UTF-16 units or a locale do not.
      const odd = ['A', 'Z', 'a', 'a/b', 'b c', 'b+c', 'é', '\uff5e', '\u{1f600}']
      const all = [...names, ...odd].map((name) => prefix + name)
      const many = all.slice(0, KEYS)
      for (let i = 0; i < KEYS; i += 32) await Promise.all(many.slice(i, i + 32).map((key) => store.put(key, 'x')))
      // One by one: an endpoint that keeps keys as files may lose one that comes at the same moment as a key below it.
      for (const key of all.slice(KEYS)) await store.put(key, 'x')
      const sorted = all.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const listed = await gather(store.list(prefix))
      assert.deepEqual(
        listed.map(({ key }) => key),
        sorted,
      )
      assert(listed.every(({ size }) => size === 1))
      const startAfter = sorted[KEYS - 10]!
      const rest = await gather(store.list(prefix, { startAfter }))
      assert.deepEqual(
        rest.map(({ key }) => key),
        sorted.slice(KEYS - 9),
      )
      const folders = ['0/', '1/', '2/', '3/', '4/', '5/', '6/', 'a/'].map((name) => prefix + name)
      assert.deepEqual(await gather(store.listPrefixes(prefix)), folders)
      const objects = sorted.filter((key) => !key.slice(prefix.length).includes('/'))
      assert.deepEqual([...(await store.namesIn(prefix))].toSorted(), [...folders, ...objects].toSorted())
      const pages: string[] = []
      let ContinuationToken: string | undefined
      do {
        const page = await client.send(
          new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, Delimiter: '/', MaxKeys: 3, ContinuationToken }),
        )
        pages.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix!))
        ContinuationToken = page.NextContinuationToken
      } while (ContinuationToken !== undefined)
      assert.deepEqual(pages, folders)
    },
  },
  {
    name: 'a folder and names that begin like it are listed in byte order, not as a tree',
    isVital: false,
    async run({ store, prefix }) {
      const sorted = ['a', 'a b', 'a-b', 'a.b', 'a/b', 'a0'].map((name) => prefix + name)
      for (const key of sorted.toReversed()) await store.put(key, 'x')
      const listed = (await gather(store.list(prefix))).map(({ key }) => key)
      assert.equal(listed.join(), sorted.join())
    },
  },
  {
    name: 'folders can be listed from the one after a start',
    isVital: true,
    async run({ store, prefix }) {
      for (const name of ['b1/x', 'b2/x', 'b3/x', 'b3/y', 'b4']) await store.put(prefix + name, 'x')
      const folders = await gather(store.listPrefixes(prefix, { startAfter: `${prefix}b1/` }))
      // Endpoints differ on whether the start itself comes once more, and readers of such a list take either.
      assert.deepEqual(
        folders.filter((folder) => folder !== `${prefix}b1/`),
        [`${prefix}b2/`, `${prefix}b3/`],
      )
    },
  },
  {
    name: 'a key and a key below it are two objects',
    isVital: false,
    async run({ store, prefix }) {
      await store.put(`${prefix}a`, 'leaf')
      await store.put(`${prefix}a/b`, 'below')
      assert.equal(Buffer.from((await store.get(`${prefix}a`))!).toString(), 'leaf')
      assert.equal(Buffer.from((await store.get(`${prefix}a/b`))!).toString(), 'below')
      await store.delete(`${prefix}a`)
      assert.equal((await store.head(`${prefix}a/b`))!.size, 5)
    },
  },
  {
    name: 'anybody may GET a presigned URL, and nobody a changed one',
    isVital: true,
    async run({ store, prefix }) {
      await store.put(`${prefix}signed picture+1.png`, 'picture')
      const url = await store.presignGet(`${prefix}signed picture+1.png`, { expiresSeconds: 60 })
      const answer = await fetch(url)
      assert.equal(answer.status, 200)
      assert.equal(await answer.text(), 'picture')
      const changed = await fetch(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'))
      assert.equal(changed.status, 403)
      await changed.arrayBuffer()
    },
  },
  {
    name: 'many keys are deleted at once, and one that is not there does not matter',
    isVital: true,
    async run({ store, prefix }) {
      const all = Array.from({ length: 50 }, (_, i) => `${prefix}<${i}> & "more"`)
      await Promise.all(all.map((key) => store.put(key, 'x')))
      await store.deleteMany([...all, `${prefix}never there`])
      assert.deepEqual(await gather(store.list(prefix)), [])
      await store.delete(`${prefix}never there`)
    },
  },
  {
    name: 'metadata and content type are kept',
    isVital: false,
    async run({ client, bucket, prefix }) {
      const target = { Bucket: bucket, Key: `${prefix}described` }
      const Metadata = { 'darkroom-writer': 'one two', other: '' }
      await client.send(new PutObjectCommand({ ...target, Body: '{}', ContentType: 'application/json', Metadata }))
      const head = await client.send(new HeadObjectCommand(target))
      assert.equal(head.ContentType, 'application/json')
      assert.equal(head.Metadata?.['darkroom-writer'], 'one two')
      assert.equal(head.Metadata?.other ?? '', '')
    },
  },
]
