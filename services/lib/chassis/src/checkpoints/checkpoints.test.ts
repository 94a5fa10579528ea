import { keys, parsePin } from '@darkroom/proto'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { createHash } from 'node:crypto'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ObjectStore } from '../object-store.ts'
import { readCheckpointConfigs } from './configs.ts'
import { fetchCheckpoint } from './fetch.ts'
import { listCheckpoints } from './list.ts'
import { encodeManifest, readManifest } from './manifest.ts'
import { pushCheckpoint } from './push.ts'
import { resolveCheckpoint } from './resolve.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../../../../deploy/checkpoints/emoji-ddpm')
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }

let root: string
let server: S3Server
let store: ObjectStore
let folder: string
let cache: string

beforeAll(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'darkroom-checkpoints-'))
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
  folder = path.join(root, `folder-${count}`, 'emoji-ddpm')
  cache = path.join(root, `cache-${count}`)
  await cp(SHIPPED, folder, { recursive: true })
})
afterEach(() => store[Symbol.dispose]())

async function treeOf(directory: string): Promise<Record<string, string>> {
  const files = await readdir(directory, { recursive: true, withFileTypes: true })
  const entries = files
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      const file = path.join(entry.parentPath, entry.name)
      return [
        path.relative(directory, file),
        createHash('sha256')
          .update(await readFile(file))
          .digest('hex'),
      ] as const
    })
  return Object.fromEntries(await Promise.all(entries))
}

/** Stores a manifest that no push would make, under the pin of its own bytes. */
async function forge(files: readonly { path: string; size: number; sha256: string }[]): Promise<string> {
  const { bytes, pin } = encodeManifest('forged', files)
  await store.put(keys.checkpointManifest('forged', pin.hex), bytes)
  return `forged@sha256:${pin.hex}`
}

const blob = async (content: string): Promise<{ size: number; sha256: string }> => {
  const sha256 = createHash('sha256').update(content).digest('hex')
  await store.put(keys.checkpointBlob(sha256), content)
  return { size: Buffer.byteLength(content), sha256 }
}

describe('pushing', () => {
  test('what is pushed comes back byte for byte, by pin, by name and by tag', async () => {
    const told: string[] = []
    const pin = await pushCheckpoint(store, folder, { tag: 'v1', onFile: ({ path: name }) => told.push(name) })
    expect(parsePin(pin)?.name).toBe('emoji-ddpm')
    expect(told).toEqual(Object.keys(await treeOf(folder)).sort())
    expect(await resolveCheckpoint(store, 'emoji-ddpm:v1')).toBe(pin)
    expect(await resolveCheckpoint(store, pin)).toBe(pin)
    expect(await treeOf(await fetchCheckpoint(store, pin, cache))).toEqual(await treeOf(folder))
  })

  test('files that lie elsewhere make the checkpoint that a folder of them makes, under every tag', async () => {
    const paths = Object.keys(await treeOf(folder)).toReversed()
    const elsewhere = new Map<string, string>()
    for (const [i, name] of paths.entries()) {
      elsewhere.set(name, path.join(root, `elsewhere-${count}-${i}`))
      await cp(path.join(folder, name), elsewhere.get(name)!)
    }
    const pin = await pushCheckpoint(store, elsewhere, { name: 'emoji-ddpm', tag: ['v1', 'v2'] })
    expect(pin).toBe(await pushCheckpoint(store, folder))
    expect(await resolveCheckpoint(store, 'emoji-ddpm:v1')).toBe(pin)
    expect(await resolveCheckpoint(store, 'emoji-ddpm:v2')).toBe(pin)
    await expect(
      pushCheckpoint(store, new Map([['../escape', elsewhere.get(paths[0]!)!]]), { name: 'x' }),
    ).rejects.toThrow(/not a plain relative path/)
  })

  test('the same bytes give the same pin and are uploaded once; other bytes move the tag', async () => {
    const first = await pushCheckpoint(store, folder)
    const uploaded: boolean[] = []
    expect(await pushCheckpoint(store, folder, { onFile: (file) => uploaded.push(file.uploaded) })).toBe(first)
    expect(new Set(uploaded)).toEqual(new Set([false]))
    await writeFile(path.join(folder, 'notes.txt'), 'new')
    const second = await pushCheckpoint(store, folder)
    expect(second).not.toBe(first)
    expect(await resolveCheckpoint(store, 'emoji-ddpm')).toBe(second)
    const listed = await Array.fromAsync(listCheckpoints(store))
    expect(listed.map(({ pin, tags }) => [pin, tags])).toEqual(
      [first, second].sort().map((pin) => [pin, pin === second ? ['latest'] : []]),
    )
  })

  test('hidden files stay at home', async () => {
    await mkdir(path.join(folder, '.git'))
    await writeFile(path.join(folder, '.git', 'config'), 'secret')
    const manifest = await readManifest(store, await pushCheckpoint(store, folder))
    expect(manifest.files.map((file) => file.path).filter((name) => name.includes('.git'))).toEqual([])
  })

  test('the small configs are read from the store, checked', async () => {
    const manifest = await readManifest(store, await pushCheckpoint(store, folder))
    const configs = await readCheckpointConfigs(store, manifest)
    expect(Object.keys(configs).sort()).toEqual([
      'model_index.json',
      'scheduler/scheduler_config.json',
      'unet/config.json',
    ])
    expect(configs['unet/config.json']).toMatchObject({ _class_name: 'UNet2DModel' })
    const config = manifest.files.find((file) => file.path === 'unet/config.json')!
    await store.put(keys.checkpointBlob(config.sha256), '{}')
    await expect(readCheckpointConfigs(store, manifest)).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
  })

  test.for<[string, () => Promise<unknown>, RegExp]>([
    [
      'a pickle',
      () => writeFile(path.join(folder, 'unet', 'weights.bin'), 'x'),
      /unet\/weights\.bin is a pickle.*ONNX/,
    ],
    [
      'a symbolic link',
      () => symlink('/etc/passwd', path.join(folder, 'unet', 'more.json')),
      /more\.json is a symbolic/,
    ],
    ['a folder that is no pipeline', () => rm(path.join(folder, 'model_index.json')), /has no model_index\.json/],
    ['a broken model', () => writeFile(path.join(folder, 'unet', 'model.onnx'), 'onnx?'), /not a valid ONNX file/],
  ])('%s is refused and nothing is stored', async ([, spoil, message]) => {
    await spoil()
    await expect(pushCheckpoint(store, folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(message),
    })
    expect(await Array.fromAsync(store.list('checkpoints/'))).toEqual([])
  })

  test.for(['UPPER', '../climb', '', 'a/b', 'x'.repeat(101)])('the name %j is refused', async (name) => {
    await expect(pushCheckpoint(store, folder, { name })).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })

  test('a reference that means nothing tells what there is', async () => {
    await pushCheckpoint(store, folder)
    await expect(resolveCheckpoint(store, 'emoji-sd')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('known: emoji-ddpm'),
    })
    await expect(resolveCheckpoint(store, 'not a name')).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await expect(resolveCheckpoint(store, `emoji-ddpm@sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe('fetching', () => {
  const UNET = 'unet/model.onnx'
  const fileOf = async (pin: string, name: string) =>
    (await readManifest(store, pin)).files.find((file) => file.path === name)!

  test('the folder is read-only', async () => {
    const at = await fetchCheckpoint(store, await pushCheckpoint(store, folder), cache)
    expect((await stat(path.join(at, UNET))).mode & 0o222).toBe(0)
  })

  test('a tampered blob in the store is refused, naming path, expected and got', async () => {
    const pin = await pushCheckpoint(store, folder)
    const { sha256, size } = await fileOf(pin, UNET)
    const key = keys.checkpointBlob(sha256)
    const bytes = Buffer.from((await store.get(key))!)
    bytes[size >> 1]! ^= 1
    await store.put(key, bytes)
    const got = createHash('sha256').update(bytes).digest('hex')
    const fetched = fetchCheckpoint(store, pin, cache)
    await expect(fetched).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
    await expect(fetched).rejects.toThrow(new RegExp(`${UNET}.*${sha256}.*${got}`))
    expect(await readdir(path.join(cache, 'tmp'))).toEqual([])
  })

  test.for(['shorter', 'longer', 'missing'])(
    'a blob that is not what the manifest says (%s) is refused',
    async (kind) => {
      const pin = await pushCheckpoint(store, folder)
      const key = keys.checkpointBlob((await fileOf(pin, UNET)).sha256)
      const bytes = Buffer.from((await store.get(key))!)
      if (kind === 'missing') await store.delete(key)
      else await store.put(key, kind === 'shorter' ? bytes.subarray(1) : Buffer.concat([bytes, bytes]))
      await expect(fetchCheckpoint(store, pin, cache)).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
    },
  )

  test('what was spoilt in the cache is thrown away and fetched again', async () => {
    const pin = await pushCheckpoint(store, folder)
    const at = await fetchCheckpoint(store, pin, cache)
    const spoilt = path.join(at, UNET)
    await chmod(spoilt, 0o644)
    await writeFile(spoilt, 'not what it was')
    expect(await fetchCheckpoint(store, pin, cache)).toBe(at)
    expect(await treeOf(at)).toEqual(await treeOf(folder))
  })

  test('a link in the cache that leads elsewhere is replaced, not followed', async () => {
    const pin = await pushCheckpoint(store, folder)
    const at = await fetchCheckpoint(store, pin, cache)
    const elsewhere = path.join(root, `elsewhere-${count}`)
    await cp(path.join(folder, UNET), elsewhere)
    await rm(path.join(at, UNET))
    await symlink(elsewhere, path.join(at, UNET))
    await fetchCheckpoint(store, pin, cache)
    await writeFile(elsewhere, 'changed after the check')
    expect(await treeOf(at)).toEqual(await treeOf(folder))
  })

  test('a sound cache asks the store for the manifest alone', async () => {
    const pin = await pushCheckpoint(store, folder)
    await fetchCheckpoint(store, pin, cache)
    for (const { sha256 } of (await readManifest(store, pin)).files) await store.delete(keys.checkpointBlob(sha256))
    await expect(fetchCheckpoint(store, pin, cache)).resolves.toContain(parsePin(pin)!.hex)
  })

  test('many fetches at once into one cache agree', async () => {
    const pin = await pushCheckpoint(store, folder)
    const folders = await Promise.all(Array.from({ length: 6 }, () => fetchCheckpoint(store, pin, cache)))
    expect(new Set(folders).size).toBe(1)
    expect(await treeOf(folders[0]!)).toEqual(await treeOf(folder))
    expect(await readdir(path.join(cache, 'tmp'))).toEqual([])
  })

  test('a manifest whose bytes are not those of the pin is refused', async () => {
    const pin = await pushCheckpoint(store, folder)
    const { name, hex } = parsePin(pin)!
    const key = keys.checkpointManifest(name, hex)
    await store.put(key, Buffer.concat([(await store.get(key))!, Buffer.from(' ')]))
    await expect(fetchCheckpoint(store, pin, cache)).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
  })

  test.for([
    '../outside.json',
    'unet/../../outside.json',
    '/etc/outside.json',
    'unet//config.json',
    './config.json',
    '.hidden',
    'C:/outside.json',
    'unet\\..\\outside.json',
    'unet/weights.pt',
    'nul\u0000byte',
    '',
  ])('a manifest with the path %j is refused before anything is written', async (name) => {
    const pin = await forge([{ path: name, ...(await blob('x')) }])
    await expect(fetchCheckpoint(store, pin, cache)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
    await expect(stat(cache)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a manifest in which a file is also a folder, or is listed twice, is refused', async () => {
    const x = await blob('x')
    for (const names of [
      ['a', 'a/b'],
      ['a', 'a'],
    ]) {
      const pin = await forge(names.map((name) => ({ path: name, ...x })))
      await expect(fetchCheckpoint(store, pin, cache)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
    }
  })

  test('a manifest of another checkpoint under this name is refused', async () => {
    const { bytes, pin } = encodeManifest('other', [{ path: 'model_index.json', ...(await blob('{}')) }])
    await store.put(keys.checkpointManifest('forged', pin.hex), bytes)
    await expect(readManifest(store, `forged@sha256:${pin.hex}`)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })
})
