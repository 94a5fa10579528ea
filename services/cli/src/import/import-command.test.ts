import { ObjectStore, resolveCheckpoint } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { runProgram } from '../program.ts'
import { filesOf, HubServer } from './hub-server.harness.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../../../deploy/checkpoints/emoji-ddpm')
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }

let root: string
let s3: S3Server
let store: ObjectStore
let hub: HubServer
let printed: string[]
let complained: string[]

beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'darkroom-import-command-'))
  s3 = await startS3Server({ directory: path.join(root, 's3'), fsync: false, ...CREDENTIALS })
  store = ObjectStore.open({
    endpoint: s3.url,
    region: 'us-east-1',
    bucket: 'farm',
    forcePathStyle: true,
    ...CREDENTIALS,
  })
  await store.ensureBucket()
  hub = await HubServer.start()
  printed = []
  complained = []
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line))
  vi.spyOn(console, 'error').mockImplementation((line: string) => void complained.push(line))
})
afterEach(async () => {
  vi.restoreAllMocks()
  process.exitCode = undefined
  store[Symbol.dispose]()
  await hub[Symbol.asyncDispose]()
  await s3[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

/** Runs a command line and returns its exit code. */
async function run(...args: string[]): Promise<number> {
  process.exitCode = undefined
  await runProgram([...args, '--endpoint', hub.url, '--cache-dir', path.join(root, 'cache')], {
    DARKROOM_S3_ENDPOINT: s3.url,
    DARKROOM_S3_BUCKET: 'farm',
    DARKROOM_S3_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    DARKROOM_S3_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  })
  return exitCode()
}

function exitCode(): number {
  return Number(process.exitCode ?? 0)
}

test('prints the pin alone, and how it went on standard error', async () => {
  const commit = hub.commit('someone/emoji', await filesOf(SHIPPED))
  expect(await run('checkpoints', 'import', 'someone/emoji', '--name', 'mine', '--tag', 'v1')).toBe(0)
  expect(printed).toEqual([await resolveCheckpoint(store, 'mine:v1')])
  expect(complained[0]).toBe(`someone/emoji@main is commit ${commit}`)
  expect(complained).toContain('unet/model.onnx  5.5 MB  stored')
})

test('prints one object with --json', async () => {
  const files = await filesOf(SHIPPED)
  const commit = hub.commit('someone/emoji', files)
  expect(await run('--json', 'checkpoints', 'import', 'someone/emoji', '--revision', commit)).toBe(0)
  expect(printed.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      pin: await resolveCheckpoint(store, 'emoji'),
      source: 'someone/emoji',
      commit,
      files: files.size,
      bytes: [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0),
    },
  ])
})

test('a folder needs no hub', async () => {
  expect(await run('checkpoints', 'import', SHIPPED)).toBe(0)
  expect(printed).toEqual([await resolveCheckpoint(store, 'emoji-ddpm')])
  expect(hub.requests).toEqual([])
})

test('wrong usage, what is not there and what cannot be run end with their own exit codes', async () => {
  expect(await run('checkpoints', 'import', './not-there')).toBe(2)
  expect(await run('checkpoints', 'import', 'someone/else')).toBe(2)
  hub.commit('someone/torch', new Map([['model_index.json', Buffer.from('{}')]]))
  expect(await run('checkpoints', 'import', 'someone/torch')).toBe(1)
  expect(printed).toEqual([])
  expect(complained.at(-1)).toMatch(/^darkroom: someone\/torch has no ONNX model.*export\.py SRC DST/)
})
