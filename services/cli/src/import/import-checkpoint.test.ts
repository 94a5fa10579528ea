import { ObjectStore, pushCheckpoint, readManifest, resolveCheckpoint } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { etagOf, filesOf, HubServer, refuse, sha256 } from './hub-server.harness.ts'
import { hubSettings } from './hub-settings.ts'
import type { HubSettings } from './hub-settings.ts'
import { importCheckpoint } from './import-checkpoint.ts'
import type { Imported, ImportOptions } from './import-checkpoint.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../../../deploy/checkpoints/emoji-ddpm')
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const REPO = 'Someone/Emoji-DDPM'
const MODEL = 'unet/model.onnx'

let root: string
let s3: S3Server
let files: Map<string, Buffer>
let store: ObjectStore
let hub: HubServer
let cache: string
let said: string[]

beforeAll(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'darkroom-import-'))
  s3 = await startS3Server({ directory: path.join(root, 's3'), fsync: false, ...CREDENTIALS })
  files = await filesOf(SHIPPED)
})
afterAll(async () => {
  await s3[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

let count = 0
beforeEach(async () => {
  const bucket = `bucket-${++count}`
  store = ObjectStore.open({ endpoint: s3.url, region: 'us-east-1', bucket, forcePathStyle: true, ...CREDENTIALS })
  await store.ensureBucket()
  hub = await HubServer.start()
  cache = path.join(root, `cache-${count}`)
  said = []
})
afterEach(async () => {
  store[Symbol.dispose]()
  await hub[Symbol.asyncDispose]()
})

function settings(changes: Partial<HubSettings> = {}): HubSettings {
  return { ...hubSettings({ cacheDir: cache, endpoint: hub.url }, {}), backoffMs: 1, ...changes }
}

function run(source: string, changes: Partial<ImportOptions> = {}): Promise<Imported> {
  return importCheckpoint(store, source, { tag: 'latest', hub: settings(), say: (line) => said.push(line), ...changes })
}

const blobs = (): string => path.join(cache, 'models--Someone--Emoji-DDPM', 'blobs')
const snapshot = (commit: string): string => path.join(cache, 'models--Someone--Emoji-DDPM', 'snapshots', commit)
const bytesOf = (path_: string): Buffer => files.get(path_)!

async function isStored(): Promise<boolean> {
  return (await Array.fromAsync(store.list(''))).length > 0
}

/** Fills the cache as Python's huggingface_hub leaves it. */
async function fillCacheAsPythonDoes(commit: string): Promise<void> {
  for (const [name, bytes] of files) {
    const pointer = path.join(snapshot(commit), name)
    await mkdir(path.dirname(pointer), { recursive: true })
    await mkdir(blobs(), { recursive: true })
    await writeFile(path.join(blobs(), etagOf(bytes)), bytes)
    await symlink(path.relative(path.dirname(pointer), path.join(blobs(), etagOf(bytes))), pointer)
  }
  const refs = path.join(cache, 'models--Someone--Emoji-DDPM', 'refs')
  await mkdir(refs)
  await writeFile(path.join(refs, 'main'), commit)
}

describe('from the hub', () => {
  test('an import makes the pin that a push of the same folder makes, and its commit becomes a tag', async () => {
    const commit = hub.commit(REPO, files)
    const imported = await run(REPO, { tag: 'v1' })
    expect(imported).toEqual({
      pin: await pushCheckpoint(store, SHIPPED),
      source: REPO,
      commit,
      files: files.size,
      bytes: [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0),
    })
    expect(await resolveCheckpoint(store, 'emoji-ddpm:v1')).toBe(imported.pin)
    expect(await resolveCheckpoint(store, `emoji-ddpm:${commit}`)).toBe(imported.pin)
    expect(said[0]).toBe(`${REPO}@main is commit ${commit}`)
    expect(said.join('\n')).toMatch(/unet\/model\.onnx {2}5\.5 MB {2}[\d.]+ MB\/s/)
  })

  test('weights that are not ONNX, modules that have no others, pictures and hidden files are neither fetched nor stored', async () => {
    const foreign = [
      'unet/diffusion_pytorch_model.safetensors',
      'vae/config.json',
      'vae/model.bin',
      '.gitattributes',
      'a.png',
    ]
    hub.commit(REPO, new Map([...files, ...foreign.map((name) => [name, Buffer.from('{}')] as const)]))
    const { pin } = await run(REPO)
    expect((await readManifest(store, pin)).files.map((file) => file.path)).toEqual([...files.keys()].toSorted())
    for (const name of foreign) expect(hub.sent.has(name)).toBe(false)
  })

  test('a commit is fetched as it was although the branch moved on', async () => {
    const old = hub.commit(REPO, files)
    hub.commit(REPO, new Map([...files, ['README.md', Buffer.from('newer')]]))
    const pinned = await run(`${REPO}@${old}`)
    expect(pinned).toMatchObject({ commit: old, pin: await pushCheckpoint(store, SHIPPED) })
    expect((await run(REPO)).pin).not.toBe(pinned.pin)
    expect((await run(REPO, { revision: old })).pin).toBe(pinned.pin)
  })

  test('a branch that moves while files are fetched changes nothing of them', async () => {
    const commit = hub.commit(REPO, files)
    hub.intercept = ({ path: asked }) => {
      if (asked.includes('/tree/')) hub.commit(REPO, new Map([['model_index.json', Buffer.from('{}')]]))
      return false
    }
    expect(await run(REPO)).toMatchObject({ commit, files: files.size })
  })

  test('a download that breaks goes on from the byte where it stopped', async () => {
    hub.commit(REPO, files)
    hub.breakAfter.push(1_000_000, 2_000_000)
    await run(REPO)
    const ranges = hub.cdnRequests.map(({ headers }) => Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0))
    expect(ranges).toHaveLength(3)
    expect(ranges[0]).toBe(0)
    expect(ranges[1]).toBeGreaterThan(0)
    expect(ranges[2]).toBeGreaterThan(ranges[1]!)
    // What was sent but had not arrived when the line broke is asked for again, and nothing else.
    const lost = 1_000_000 - ranges[1]! + (ranges[1]! + 2_000_000 - ranges[2]!)
    expect(hub.sent.get(sha256(bytesOf(MODEL)))).toBe(bytesOf(MODEL).length + lost)
  })

  test('what an earlier import left unfinished is not fetched again', async () => {
    hub.commit(REPO, files)
    await mkdir(blobs(), { recursive: true })
    const etag = etagOf(bytesOf(MODEL))
    await writeFile(path.join(blobs(), `${etag}.incomplete`), bytesOf(MODEL).subarray(0, 3_000_000))
    await run(REPO)
    expect(hub.sent.get(etag)).toBe(bytesOf(MODEL).length - 3_000_000)
    expect((await readdir(blobs())).filter((name) => name.endsWith('.incomplete'))).toEqual([])
  })

  test('a busy hub and broken connections are asked again', async () => {
    hub.commit(REPO, files)
    let troubles = 0
    hub.intercept = (_, response) => {
      if (++troubles % 2 === 0 || troubles > 10) return false
      if (troubles % 3 === 0) response.destroy()
      else response.writeHead(troubles === 1 ? 429 : 503, { 'retry-after': '0' }).end()
      return true
    }
    expect((await run(REPO)).files).toBe(files.size)
    expect(troubles).toBeGreaterThan(10)
  })

  test('a hub that stays away says so', async () => {
    hub.intercept = (_, response) => {
      response.writeHead(503).end()
      return true
    }
    await expect(run(REPO)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/busy or broken \(503\)/),
    })
    hub.intercept = (_, response) => {
      response.destroy()
      return true
    }
    await expect(run(REPO)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/^cannot reach the hub at .*--offline$/),
    })
  })

  test.for([
    ['other bytes', (bytes: Buffer) => Buffer.from(bytes).fill(7, 100, 101)],
    ['more bytes', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('more')])],
    ['fewer bytes', (bytes: Buffer) => bytes.subarray(0, 4_000_000)],
  ] as const)('a model that arrives with %s is refused, removed and not pushed', async ([, spoil]) => {
    hub.commit(REPO, files)
    hub.spoil = spoil
    await expect(run(REPO)).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringMatching(/^unet\/model\.onnx arrived with other bytes/),
    })
    expect(await isStored()).toBe(false)
    expect((await readdir(blobs())).join()).not.toContain(etagOf(bytesOf(MODEL)))
    hub.spoil = (bytes) => bytes
    expect((await run(REPO)).files).toBe(files.size)
  })

  test.for([
    '../../outside.json',
    '/etc/outside.json',
    'unet\\..\\outside.json',
    'unet//outside.json',
    'C:/outside.json',
  ])('a listing with the hostile path %s is refused before anything is fetched', async (hostile) => {
    hub.commit(REPO, new Map([...files, [hostile, Buffer.from('{}')]]))
    await expect(run(REPO)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining(JSON.stringify(hostile)),
    })
    expect([...hub.sent.keys()]).toEqual([])
    expect(await isStored()).toBe(false)
  })

  test.for([
    [404, 'RepoNotFound', 'NOT_FOUND', /not there: look at the spelling/],
    [404, 'RevisionNotFound', 'NOT_FOUND', /no such revision/],
    [401, 'RepoNotFound', 'NOT_FOUND', /not there or private.*HF_TOKEN/],
    [401, 'GatedRepo', 'FORBIDDEN', /is gated: ask for access on .*HF_TOKEN/],
    [403, 'GatedRepo', 'FORBIDDEN', /is gated/],
    [403, 'Other', 'FORBIDDEN', /token may not read it/],
  ] as const)('a hub that answers %i %s becomes %s and says what to do', async ([status, reason, code, message]) => {
    hub.intercept = (_, response) => {
      refuse(response, status, reason)
      return true
    }
    await expect(run(REPO)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(hub.requests).toHaveLength(1)
  })

  test('the token goes to the hub and neither to the CDN nor into what is said', async () => {
    hub.commit(REPO, files)
    await run(REPO, { hub: settings({ token: 'secret-token' }) })
    expect(new Set(hub.requests.map(({ headers }) => headers.authorization))).toEqual(new Set(['Bearer secret-token']))
    expect(new Set(hub.cdnRequests.map(({ headers }) => headers.authorization))).toEqual(new Set([undefined]))
    expect(said.join()).not.toContain('secret-token')
    hub.intercept = (_, response) => {
      refuse(response, 401, 'Unauthorized')
      return true
    }
    const refused = run(REPO, { hub: settings({ token: 'secret-token' }) })
    await expect(refused).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.not.stringContaining('secret'),
    })
  })

  test('a pipeline without ONNX is refused by its listing alone and told of the exporter', async () => {
    const torch = new Map([...files].map(([name, bytes]) => [name.replace(/onnx$/, 'safetensors'), bytes]))
    hub.commit(REPO, torch)
    await expect(run(REPO)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining(
        'pip install -r deploy/checkpoints/recipe/requirements.txt && python deploy/checkpoints/recipe/export.py SRC DST',
      ),
    })
    expect([...hub.sent.keys()]).toEqual([])
  })

  test('configs that do not fit are refused before the weights move', async () => {
    const index = Buffer.from(JSON.stringify({ _class_name: 'X', unet: ['a', 'b'], text_encoder: ['c', 'd'] }))
    hub.commit(REPO, new Map([...files, ['model_index.json', index]]))
    await expect(run(REPO)).rejects.toThrow(/names text_encoder \(c d\) but it has no folder text_encoder/)
    hub.commit(REPO, new Map([...files, ['unet/config.json', Buffer.from('{')]]))
    await expect(run(REPO)).rejects.toThrow(/unet\/config\.json is not JSON/)
    expect(hub.cdnRequests).toEqual([])
  })
})

describe('the cache', () => {
  test('is laid out as Python lays it out', async () => {
    const commit = hub.commit(REPO, files)
    await run(REPO)
    const repository = path.join(cache, 'models--Someone--Emoji-DDPM')
    expect((await readdir(repository)).toSorted()).toEqual(['blobs', 'refs', 'snapshots'])
    expect(await readFile(path.join(repository, 'refs', 'main'), 'utf8')).toBe(commit)
    expect(await readlink(path.join(snapshot(commit), MODEL))).toBe(`../../../blobs/${etagOf(bytesOf(MODEL))}`)
    expect(await filesOf(blobs())).toEqual(new Map([...files.values()].map((bytes) => [etagOf(bytes), bytes])))
  })

  test('gives what Python downloaded, and only the listing is asked for', async () => {
    const commit = hub.commit(REPO, files)
    await fillCacheAsPythonDoes(commit)
    expect((await run(REPO)).pin).toBe(await pushCheckpoint(store, SHIPPED))
    expect([...hub.sent.keys()]).toEqual([])
  })

  test('spoilt in one file gets that file alone again', async () => {
    await fillCacheAsPythonDoes(hub.commit(REPO, files))
    await writeFile(
      path.join(blobs(), etagOf(bytesOf('unet/config.json'))),
      Buffer.alloc(bytesOf('unet/config.json').length),
    )
    expect((await run(REPO)).pin).toBe(await pushCheckpoint(store, SHIPPED))
    expect([...hub.sent.keys()]).toEqual(['unet/config.json'])
  })

  test('is enough offline: no request is made', async () => {
    const commit = hub.commit(REPO, files)
    const online = await run(REPO)
    hub.requests.length = 0
    const offline = { hub: settings({ isOffline: true }) }
    expect(await run(REPO, offline)).toEqual(online)
    expect(await run(`${REPO}@${commit}`, offline)).toEqual(online)
    expect(hub.requests).toEqual([])
  })

  test('that lacks the revision is told offline, and one that is spoilt is refused', async () => {
    const offline = { hub: settings({ isOffline: true }) }
    await expect(run(REPO, offline)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/without --offline/),
    })
    await fillCacheAsPythonDoes(hub.commit(REPO, files))
    await writeFile(path.join(blobs(), etagOf(bytesOf(MODEL))), 'spoilt')
    await expect(run(REPO, offline)).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
    expect(await isStored()).toBe(false)
  })

  test('whose snapshot leads out of it is refused', async () => {
    const commit = hub.commit(REPO, files)
    await fillCacheAsPythonDoes(commit)
    await rm(path.join(snapshot(commit), 'README.md'))
    await symlink('/etc/hosts', path.join(snapshot(commit), 'README.md'))
    await expect(run(REPO, { hub: settings({ isOffline: true }) })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
    })
  })

  test('shows nothing of an import that was broken off', async () => {
    const commit = hub.commit(REPO, files)
    hub.spoil = (bytes) => Buffer.alloc(bytes.length)
    await expect(run(REPO)).rejects.toThrow(/other bytes/)
    await expect(readdir(snapshot(commit))).rejects.toThrow(/ENOENT/)
    await expect(run(REPO, { hub: settings({ isOffline: true }) })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('from a folder', () => {
  let folder: string
  beforeEach(async () => {
    folder = path.join(root, `folder-${count}`, 'emoji-ddpm')
    await cp(SHIPPED, folder, { recursive: true })
  })

  test('an import makes the pin that a push makes, without what is no part of it', async () => {
    const pin = await pushCheckpoint(store, folder)
    await writeFile(path.join(folder, 'unet', 'diffusion_pytorch_model.bin'), 'pickle')
    expect(await run(folder)).toMatchObject({ pin, source: folder, commit: null, files: files.size })
    expect(hub.requests).toEqual([])
  })

  test('one without ONNX is told of the exporter', async () => {
    await rm(path.join(folder, MODEL))
    await expect(run(folder)).rejects.toThrow(/export it with "pip install .*export\.py SRC DST"/)
  })

  test('one without model_index.json is told what is wanted', async () => {
    await rm(path.join(folder, 'model_index.json'))
    await expect(run(folder)).rejects.toThrow(/no model_index\.json at its root/)
  })

  test('a link out of it is refused', async () => {
    await symlink('/etc/hosts', path.join(folder, 'hosts.txt'))
    await expect(run(folder)).rejects.toThrow(/hosts\.txt is no file, nor a link to one inside/)
  })

  test('a name that no checkpoint can have is refused at once', async () => {
    await expect(run(folder, { name: 'No Name' })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })
})
