import { createLogger, Metrics, ObjectStore, pushCheckpoint } from '@darkroom/chassis'
import { startS3Server } from '@darkroom/local/s3'
import type { S3Server } from '@darkroom/local/s3'
import { EventEmitter, once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CheckpointShelf } from './checkpoint-shelf.ts'
import type { ShelfOptions } from './checkpoint-shelf.ts'
import { DeviceClock } from './engine/device-clock.ts'
import type { Engine } from './engine/engine.ts'
import { createEvents } from './events.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../../deploy/checkpoints/emoji-ddpm')
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const GIB = 2 ** 30
const NAMES = ['one', 'two', 'three'] as const
const never = new AbortController().signal

let directory: string
let s3: S3Server
let store: ObjectStore
let pins: Readonly<Record<(typeof NAMES)[number], string>>
beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'darkroom-shelf-'))
  s3 = await startS3Server({ directory: path.join(directory, 's3'), fsync: false, ...CREDENTIALS })
  const endpoint = { endpoint: s3.url, region: 'us-east-1', forcePathStyle: true }
  store = ObjectStore.open({ ...endpoint, bucket: 'farm', ...CREDENTIALS })
  await store.ensureBucket()
  const pushed = NAMES.map(async (name) => {
    const folder = path.join(directory, name)
    await cp(SHIPPED, folder, { recursive: true })
    return [name, await pushCheckpoint(store, folder, { name })] as const
  })
  pins = Object.fromEntries(await Promise.all(pushed)) as typeof pins
})
afterAll(async () => {
  store[Symbol.dispose]()
  await s3[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

/** A shelf on an engine that is played, each of whose checkpoints takes a GiB, of no more than `deviceBytes`. */
function shelfWith(options: Partial<ShelfOptions>, deviceBytes = Infinity) {
  let used = 0
  const left = new EventEmitter()
  const engine = {
    clock: new DeviceClock(),
    async load(pin: string) {
      if (used + GIB > deviceBytes) throw new Error(`${pin}: CUDA failure 2: out of memory`)
      used += GIB
    },
    unload(pin: string) {
      used -= GIB
      left.emit('unload', pin)
    },
  } as unknown as Engine
  const shelf = new CheckpointShelf({
    store,
    engine,
    events: createEvents(new Metrics(), createLogger('test', 'silent')),
    cacheDir: path.join(directory, 'cache'),
    memory: { capacityBytes: 2.5 * GIB, usedBytes: async () => used },
    idleUnloadMs: 0,
    maxLoads: 0,
    wornOut: () => {},
    ...options,
  })
  const use = async (name: keyof typeof pins): Promise<void> => (await shelf.hold(pins[name], never))[Symbol.dispose]()
  return { shelf, use, left }
}

test('the least recently used leaves when what was measured would not fit, although the files would', async () => {
  const { shelf, use } = shelfWith({})
  using _shelf = shelf
  await use('one')
  await use('two')
  await use('one')
  expect(shelf.resident).toEqual([pins.two, pins.one])
  await use('three')
  expect(shelf.resident).toEqual([pins.one, pins.three])
  await use('two')
  expect(shelf.resident).toEqual([pins.three, pins.two])
})

test('what does not fit although it should is loaded once all that is not in use has left', async () => {
  const { shelf, use } = shelfWith({}, 1.5 * GIB)
  using _shelf = shelf
  await use('one')
  await use('two')
  expect(shelf.resident).toEqual([pins.two])
  using _held = await shelf.hold(pins.two, never)
  await expect(use('three')).rejects.toThrow()
  expect(shelf.resident).toEqual([pins.two])
})

test('what is in use stays, however little room there is', async () => {
  const { shelf, use } = shelfWith({ memory: { capacityBytes: 1, usedBytes: async () => 0 } })
  using _shelf = shelf
  using _held = await shelf.hold(pins.one, never)
  await use('two')
  expect(shelf.resident).toContain(pins.one)
})

test('what nobody has used for long enough leaves, and comes back when it is wanted', async () => {
  const { shelf, use, left } = shelfWith({ idleUnloadMs: 1 })
  using _shelf = shelf
  const gone = once(left, 'unload')
  await use('one')
  expect(await gone).toEqual([pins.one])
  expect(shelf.resident).toEqual([])
  using _held = await shelf.hold(pins.one, never)
  expect(shelf.resident).toEqual([pins.one])
})

test('after so many loads the worker is told once that it is worn out', async () => {
  let told = 0
  const { shelf, use } = shelfWith({
    memory: { capacityBytes: 1, usedBytes: async () => 0 },
    maxLoads: 2,
    wornOut: () => told++,
  })
  using _shelf = shelf
  for (const name of ['one', 'two', 'one', 'two'] as const) await use(name)
  expect(told).toBe(1)
})

test('whose checkpoint has to be loaded is told how long that took, and nobody else', async () => {
  const { shelf } = shelfWith({})
  using _shelf = shelf
  const [first, second] = await Promise.all([shelf.hold(pins.one, never), shelf.hold(pins.one, never)])
  using _first = first
  using _second = second
  expect(first.loadSeconds).toBe(shelf.loadSeconds)
  expect(first.loadSeconds).toBeGreaterThan(0)
  expect(second.loadSeconds).toBe(0)
  using third = await shelf.hold(pins.one, never)
  expect(third.loadSeconds).toBe(0)
})
