import { create } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { keys, WorkerSchema } from '@darkroom/proto'
import type { Worker, WorkerDayDocument } from '@darkroom/proto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHarness } from '../coordinator.harness.ts'
import type { Harness } from '../coordinator.harness.ts'
import { farmTimeOf } from './farm-time.ts'
import { WorkerDays } from './worker-days.ts'

const DAY = '2026-11-27'
const STARTED = new Date('2026-11-27T10:00:00.000Z')
const MINUTE_MS = 60_000

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

/** A worker that tells of one day or several: wall, rendering and loading of each. */
function workerOf(
  id: string,
  days: Readonly<Record<string, readonly [number, number, number]>>,
  began = STARTED,
): Worker {
  const deviceDays = Object.entries(days).map(([day, [wallSeconds, renderSeconds, loadSeconds]]) => {
    return { day, wallSeconds, renderSeconds, loadSeconds }
  })
  return create(WorkerSchema, { id, connectedAt: timestampFromDate(began), deviceDays })
}

function stored(id: string, day = DAY, began = STARTED): Promise<WorkerDayDocument | null> {
  return harness.store.getJson(keys.ledgerWorkerDay(day, began.toISOString(), id))
}

test('while a worker works it is written once a minute, and each time says all that it did that day', async () => {
  const days = new WorkerDays()
  const written: number[] = []
  for (let second = 0; second <= 130; second += 2) {
    days.seen(workerOf('busy', { [DAY]: [second, second / 2, 0] }), 1000 * second)
    await days.write(harness.store, 1000 * second)
    const wallSeconds = (await stored('busy'))?.wallSeconds
    if (wallSeconds !== undefined && written.at(-1) !== wallSeconds) written.push(wallSeconds)
  }
  expect(written).toEqual([60, 120])
})

test('the last words of a worker that has left are written soon, and what it said stays known until then', async () => {
  const days = new WorkerDays()
  days.seen(workerOf('gone/with spaces', { [DAY]: [30, 20, 4] }), 0)
  await days.write(harness.store, 2_000)
  expect(await stored('gone/with spaces')).toBeNull()
  expect(days.documents.size).toBe(1)
  await days.write(harness.store, 4_000)
  expect(await stored('gone/with spaces')).toMatchObject({ wallSeconds: 30, renderSeconds: 20, loadSeconds: 4 })
  expect(days.documents.size).toBe(0)
})

test('a day that is over is written once more, while the worker goes on with the next', async () => {
  const days = new WorkerDays()
  const next = '2026-11-28'
  days.seen(workerOf('nightly', { [DAY]: [100, 50, 0] }), 0)
  const writes: string[] = []
  const store = {
    getJson: (key: string) => harness.store.getJson(key),
    put: async (key: string, body: string) => {
      writes.push(key)
      await harness.store.put(key, body)
    },
  } as unknown as typeof harness.store
  for (let second = 2; second < 60; second += 2) {
    days.seen(workerOf('nightly', { [DAY]: [101, 51, 0], [next]: [second, 1, 0] }), 1000 * second)
    await days.write(store, 1000 * second)
  }
  expect(writes).toEqual([keys.ledgerWorkerDay(DAY, STARTED.toISOString(), 'nightly')])
  expect(await stored('nightly')).toMatchObject({ wallSeconds: 101 })
})

test('what could not be written is written with the next look', async () => {
  const days = new WorkerDays()
  days.seen(workerOf('unlucky', { [DAY]: [10, 1, 1] }), 0)
  const away = (): Promise<never> => Promise.reject(new Error('the store is away'))
  const broken = { getJson: away, put: away } as unknown as typeof harness.store
  await expect(days.write(broken, MINUTE_MS)).rejects.toThrow('away')
  await days.write(harness.store, MINUTE_MS + 2_000)
  expect(await stored('unlucky')).toMatchObject({ wallSeconds: 10 })
})

test('what a worker tells while it is being written is written too, by a stop that comes amid the usual look', async () => {
  const days = new WorkerDays()
  days.seen(workerOf('amid', { [DAY]: [10, 5, 0] }), 0)
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const slow = {
    getJson: (key: string) => harness.store.getJson(key),
    put: async (key: string, body: string) => {
      begun.resolve()
      await goOn.promise
      await harness.store.put(key, body)
    },
  } as unknown as typeof harness.store
  const looking = days.write(slow, MINUTE_MS)
  await begun.promise
  days.seen(workerOf('amid', { [DAY]: [11, 6, 0] }), MINUTE_MS)
  const last = days.write(harness.store, MINUTE_MS, true)
  goOn.resolve()
  await Promise.all([looking, last])
  expect(await stored('amid')).toMatchObject({ wallSeconds: 11, renderSeconds: 6 })
})

test('who has heard less than is stored writes nothing', async () => {
  const [deposed, next] = [new WorkerDays(), new WorkerDays()]
  deposed.seen(workerOf('moved', { [DAY]: [10, 5, 0] }), 0)
  next.seen(workerOf('moved', { [DAY]: [20, 9, 0] }), 0)
  await next.write(harness.store, 0, true)
  await deposed.write(harness.store, 0, true)
  expect(await stored('moved')).toMatchObject({ wallSeconds: 20, renderSeconds: 9 })
})

test('the days that are asked for are summed: what a leader was just told counts instead of what is stored', async () => {
  const [from, to] = ['2027-01-02', '2027-01-03']
  const restarted = new Date('2027-01-02T12:00:00.000Z')
  const before = new WorkerDays()
  before.seen(workerOf('w', { '2027-01-01': [900, 900, 0], [from]: [100, 40, 10] }), 0)
  before.seen(workerOf('v', { [from]: [60, 30, 0], [to]: [10, 0, 10] }), 0)
  await before.write(harness.store, 0, true)
  const now = new WorkerDays()
  // The same process goes on, and another under its name begins.
  now.seen(workerOf('w', { [from]: [150, 60, 10] }), 0)
  now.seen(workerOf('w', { [from]: [5, 1, 2], '2027-01-04': [900, 0, 0] }, restarted), 0)
  expect(await farmTimeOf(harness.store, now.documents, { from, to })).toEqual({
    wallSeconds: 150 + 60 + 10 + 5,
    renderSeconds: 60 + 30 + 1,
    loadSeconds: 10 + 10 + 2,
    idleSeconds: 225 - 91 - 22,
  })
})
