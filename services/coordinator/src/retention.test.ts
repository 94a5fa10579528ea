import { createLogger, DarkroomError, Metrics } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCaller, freeAddresses, startCoordinator, startHarness } from './coordinator.harness.ts'
import type { Harness } from './coordinator.harness.ts'
import { createEvents } from './events.ts'
import { Retention } from './retention.ts'

const DAY_MS = 86_400_000
const NOW = Date.parse('2026-11-27T12:00:00Z')

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

const daysAgo = (days: number): string => new Date(NOW - days * DAY_MS).toISOString()

/** A batch with everything that a batch may have, made and ended so many days ago. */
async function batchOf(id: string, { made, ended }: { made: number; ended: number | null }, webhook?: { url: string }) {
  const { store } = harness
  const part = { key: keys.inputPart(id, 0), firstItem: 0, itemCount: 1, bytes: 1, sha256: '', segmentOffsets: [0] }
  const counts = { itemCount: 1, imageCount: 1, checkpoints: [], parts: [part], metadata: {}, traceparent: '' }
  const document = { id, tenant: 'default', createdAt: daysAgo(made), ...counts, ...(webhook && { webhook }) }
  const others = [
    keys.inputPart(id, 0),
    keys.planSegment(id, 0),
    keys.image(id, '0-0-x.png'),
    keys.result(id, '00000-00000'),
    keys.output(id),
    keys.errors(id),
    keys.control(id),
    keys.completed(id),
  ]
  for (const key of others) await store.put(key, '{}')
  await store.put(keys.batch(id), JSON.stringify(document))
  const end = {
    state: 'completed',
    endedAt: daysAgo(ended ?? 0),
    startedAt: null,
    shards: 1,
    images: 1,
    schedulers: [],
  }
  const items = { rendered: 1, failed: 0, cancelled: 0 }
  if (ended !== null) await store.put(keys.done(id), JSON.stringify({ batchId: id, ...end, items }))
  await store.put(keys.ledgerEntry('2026-11-01', id), '{}')
}

async function left(id: string): Promise<string[]> {
  const folder = keys.batchFolder(id)
  return (await Array.fromAsync(harness.store.list(folder))).map(({ key }) => key.slice(folder.length))
}

function retention(store: ObjectStore, purged: string[] = [], keepDays = 30): Retention {
  const clock = { nowMs: () => NOW, date: () => new Date(NOW), delay: async () => {} }
  const events = createEvents(new Metrics(), createLogger('test', 'silent'))
  return new Retention({ store, events, clock, keepDays, onPurged: (id) => purged.push(id) })
}

const never = new AbortController().signal

test('what ended long enough ago goes with its pictures, and all else stays: the ledger, younger and open batches, uploads', async () => {
  await batchOf('b01', { made: 50, ended: 31 })
  await batchOf('b02', { made: 50, ended: 29 })
  await batchOf('b03', { made: 50, ended: null })
  await harness.store.put(keys.inputPart('b04', 0), 'an upload that is under way')
  await batchOf('b05', { made: 40, ended: 35 })
  await batchOf('b06', { made: 2, ended: 1 })
  const purged: string[] = []
  await retention(harness.store, purged).purgeOld(never)
  expect(purged).toEqual(['b01', 'b05'])
  expect(await Promise.all(['b01', 'b05'].map(left))).toEqual([[], []])
  for (const id of ['b02', 'b03', 'b06']) expect((await left(id)).length).toBeGreaterThan(8)
  expect(await left('b04')).toEqual(['input/part-00000.ndjson'])
  expect(await harness.store.head(keys.ledgerEntry('2026-11-01', 'b01'))).not.toBeNull()
  for (const id of ['b02', 'b03', 'b04', 'b06'])
    await harness.store.deleteMany((await left(id)).map((key) => keys.batchFolder(id) + key))
})

test('a batch whose end is still to be told stays until it is told, or given up', async () => {
  await batchOf('b11', { made: 50, ended: 1 }, { url: 'https://example.com/' })
  await batchOf('b12', { made: 50, ended: 3 }, { url: 'https://example.com/' })
  for (const id of ['b11', 'b12']) await harness.store.put(keys.webhookPending(id), '{}')
  const purged: string[] = []
  await retention(harness.store, purged, 0.5).purgeOld(never)
  expect(purged).toEqual(['b12'])
  await harness.store.delete(keys.webhookPending('b11'))
  await retention(harness.store, purged, 0.5).purgeOld(never)
  expect(await left('b11')).toEqual([])
})

test('whatever dies between two deletes, the batch neither opens again nor can be claimed, and the next look goes on', async () => {
  for (let deletes = 0, isDone = false; !isDone; deletes++) {
    await batchOf('b21', { made: 50, ended: 40 })
    const dying = dyingAfter(harness.store, deletes)
    await retention(dying).purgeOld(never)
    isDone = !dying.hasDied()
    const there = new Set(await left('b21'))
    const isKnown = there.has('batch.json')
    expect([deletes, isKnown && !there.has('done.json')]).toEqual([deletes, false])
    expect([deletes, !isKnown && there.has('input/part-00000.ndjson')]).toEqual([deletes, false])
    await retention(harness.store).purgeOld(never)
    expect([deletes, await left('b21')]).toEqual([deletes, []])
    expect(deletes).toBeLessThan(20)
  }
})

test('one batch that cannot be deleted does not keep the others', async () => {
  await batchOf('b22', { made: 50, ended: 40 })
  await batchOf('b23', { made: 50, ended: 40 })
  const refusing = Object.assign(Object.create(harness.store) as ObjectStore, {
    ...boundReads(harness.store),
    delete: harness.store.delete.bind(harness.store),
    deleteMany: async (names: readonly string[]) => {
      if (names.some((name) => name.includes('b22'))) throw new DarkroomError('STORE_UNAVAILABLE', 'it is locked')
      await harness.store.deleteMany(names)
    },
  })
  await retention(refusing).purgeOld(never)
  expect(await left('b23')).toEqual([])
  await retention(harness.store).purgeOld(never)
  expect(await left('b22')).toEqual([])
})

test('a coordinator lists and finds a batch no more once it is deleted', async () => {
  const { ports, addresses } = await freeAddresses(1)
  const long = { made: 20_600, ended: 20_500 }
  await batchOf('b31', long)
  await batchOf('b32', { made: 0, ended: 0 })
  using caller = createCaller(addresses)
  const { client, patiently } = caller
  {
    await using _keeping = await startCoordinator(harness, ports[0]!)
    expect(await patiently(() => client.getBatch({ batchId: 'b31' }))).toMatchObject({ batch: { id: 'b31' } })
  }
  await using _purging = await startCoordinator(harness, ports[0]!, { DARKROOM_COORDINATOR_KEEP_BATCHES_DAYS: '20000' })
  await expect.poll(() => left('b31'), { timeout: 20_000 }).toEqual([])
  await expect(patiently(() => client.getBatch({ batchId: 'b31' }))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  const { batches } = await patiently(() => client.listBatches({}))
  expect(batches.map(({ id }) => id)).toEqual(['b32'])
})

/** The same store, which carries out so many deletes and no more. */
function dyingAfter(store: ObjectStore, deletes: number): ObjectStore & { hasDied(): boolean } {
  let done = 0
  let hasDied = false
  const dying =
    <A extends unknown[]>(method: (...args: A) => Promise<void>) =>
    async (...args: A): Promise<void> => {
      if (done === deletes) {
        hasDied = true
        throw new DarkroomError('STORE_UNAVAILABLE', 'it died')
      }
      await method.apply(store, args)
      done++
    }
  return Object.assign(Object.create(store) as ObjectStore, {
    ...boundReads(store),
    hasDied: () => hasDied,
    delete: dying(store.delete.bind(store)),
    deleteMany: dying(store.deleteMany.bind(store)),
  })
}

function boundReads(store: ObjectStore) {
  return {
    list: store.list.bind(store),
    listPrefixes: store.listPrefixes.bind(store),
    getJson: store.getJson.bind(store),
    head: store.head.bind(store),
  }
}
