import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { createGrpcClient } from '@darkroom/chassis'
import {
  BatchState,
  batchVersion,
  COMPLETION_STREAM,
  keys,
  LedgerGrouping,
  SHARD_STREAM,
  WorkerLinkService,
} from '@darkroom/proto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  acceptBatch,
  createCaller,
  doneOf,
  freeAddresses,
  PlayedWorker,
  startCoordinator,
  startHarness,
} from './coordinator.harness.ts'
import type { Harness } from './coordinator.harness.ts'

const ITEMS = 6

let harness: Harness
beforeEach(async () => {
  harness = await startHarness()
})
afterEach(() => harness[Symbol.asyncDispose]())

async function expectCompleted(batchId: string): Promise<void> {
  const done = await doneOf(harness.store, batchId)
  expect(done).toMatchObject({
    state: 'completed',
    items: { rendered: ITEMS, failed: 0, cancelled: 0 },
    images: ITEMS,
    shards: ITEMS,
    output: { lines: ITEMS },
    errors: { lines: 0 },
  })
}

test('a batch runs to its done.json', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  const { batch: accepted } = await caller.submit(batchId)
  expect(accepted!.schedulers).toMatchObject([{ scheduler: 'DDIMScheduler', images: 0n, imageCount: ITEMS }])
  const batch = await caller.end(batchId)
  expect(batch.items).toMatchObject({ rendered: ITEMS, failed: 0, cancelled: 0, open: 0 })
  expect(batch.schedulers).toMatchObject([{ scheduler: 'DDIMScheduler', images: 6n, imageCount: ITEMS }])
  await expectCompleted(batchId)
  expect(worker.rendered.every(({ committed }) => committed)).toBe(true)
})

test('what was kept to resume shards is deleted when the batch ends, and nothing of another batch', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 2 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  await worker.held()
  const other = keys.progress('bother', '00000-00000')
  for (const key of [keys.progress(batchId, '00000-00000'), keys.progress(batchId, '00000-00003'), other]) {
    await harness.store.put(key, 'progress')
  }
  worker.resume()
  await caller.end(batchId)
  await expectCompleted(batchId)
  expect(await Array.fromAsync(harness.store.list(keys.progressFolder(batchId)))).toEqual([])
  expect(await harness.store.head(other)).not.toBeNull()
})

test('a coordinator that starts anew in the middle finishes the batch and renders nothing twice', async () => {
  const { ports, addresses } = await freeAddresses(1)
  const first = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 2 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  await worker.held()
  await first[Symbol.asyncDispose]()
  await using _second = await startCoordinator(harness, ports[0]!)
  // It opens the batch by itself: it is the bucket's, not the first coordinator's.
  const { batches } = await caller.patiently(() => caller.client.listBatches({ pageSize: 10 }))
  expect(batches.map(({ id }) => id)).toEqual([batchId])
  worker.resume()
  await caller.end(batchId)
  await expectCompleted(batchId)
  expect(worker.rendered).toHaveLength(ITEMS)
})

test('a batch that is paused starts nothing, also after a restart, until it is resumed', async () => {
  const { ports, addresses } = await freeAddresses(1)
  const first = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  const completeBy = timestampFromDate(new Date('2020-01-01T00:00:00Z'))
  const paused = await caller.client.updateBatch({ batchId, paused: true, priority: 7, completeBy })
  expect(paused.batch).toMatchObject({ tenant: 'default', priority: 7, paused: true })
  await first[Symbol.asyncDispose]()
  await using _second = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses)
  const other = await acceptBatch(harness.store, ITEMS)
  await caller.submit(other)
  await caller.end(other)
  expect((await caller.client.getBatch({ batchId })).batch).toMatchObject({
    priority: 7,
    paused: true,
    completeBy,
    atRisk: true,
    items: { open: ITEMS },
  })
  expect(worker.rendered).toHaveLength(ITEMS)
  expect(await caller.client.explainItem({ batchId, item: 3 })).toMatchObject({ reason: 'paused', shardId: '' })
  await expect(caller.client.explainItem({ batchId, item: ITEMS })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await caller.client.explainItem({ batchId: other, item: 0 })).toMatchObject({ reason: 'ended' })
  await caller.client.updateBatch({ batchId, paused: false })
  await caller.end(batchId)
  await expectCompleted(batchId)
  await expect(caller.client.updateBatch({ batchId, priority: 1 })).rejects.toMatchObject({ code: 'CONFLICT' })
})

test('of changes that come at the same time none is lost, also after a restart', async () => {
  const { ports, addresses } = await freeAddresses(1)
  const first = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  const completeBy = timestampFromDate(new Date('2020-01-01T00:00:00Z'))
  const changes = [{ priority: 7 }, { paused: true }, { completeBy }]
  await Promise.all(changes.map((change) => caller.client.updateBatch({ batchId, ...change })))
  await first[Symbol.asyncDispose]()
  await using _second = await startCoordinator(harness, ports[0]!)
  const { batch } = await caller.patiently(() => caller.client.getBatch({ batchId }))
  expect(batch).toMatchObject({ priority: 7, paused: true, completeBy })
})

test('of two changes to what was read one is made, and the other refused', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  const { batch } = await caller.submit(batchId)
  const ifVersion = batchVersion(batch!)
  const changes = [1, 2].map((priority) => caller.client.updateBatch({ batchId, priority, ifVersion }))
  const ends = await Promise.allSettled(changes)
  expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  expect(ends.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'PRECONDITION_FAILED' } })
  await expect(caller.client.cancelBatch({ batchId, ifVersion })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
})

test('a worker is told to drain, and one that is not attached is not found', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  await caller.patiently(() => caller.client.listWorkers({}))
  using link = createGrpcClient(WorkerLinkService, addresses, { defaultTimeoutMs: 10_000 })
  const leave = Promise.withResolvers<void>()
  async function* heartbeat() {
    yield { worker: { id: 'w1', pool: 'default' } }
    await leave.promise
  }
  const orders = link.attach(heartbeat(), {})[Symbol.asyncIterator]()
  expect((await orders.next()).value).toMatchObject({ order: { case: 'welcome' } })
  await caller.client.drainWorker({ workerId: 'w1' })
  expect((await orders.next()).value).toMatchObject({ order: { case: 'drain' } })
  await expect(caller.client.drainWorker({ workerId: 'w2' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  leave.resolve()
})

test('a quote says what a batch would take, on the workers that are there', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  const item = { checkpoint: 'x', task: 'unconditional-image-generation', width: 64, height: 64, scheduler: 'DDIMScheduler', numInferenceSteps: 10, numImages: 1 } // prettier-ignore
  const ask = (count: bigint) => caller.patiently(() => caller.client.quoteBatch({ items: [{ item, count }] }))
  const [one, many] = [await ask(1n), await ask(1_000n)]
  expect(many.deviceSeconds / one.deviceSeconds).toBeCloseTo(1_000)
  expect(one).toMatchObject({ workers: 0, isMeasured: false })
  expect([one.secondsAlone, one.price]).toEqual([undefined, undefined])
})

test('what batches used is in the ledger once they have ended, by any name', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using _worker = new PlayedWorker(harness, addresses)
  using caller = createCaller(addresses)
  const ids = [await acceptBatch(harness.store, ITEMS), await acceptBatch(harness.store, ITEMS)]
  for (const id of ids) await caller.submit(id)
  for (const id of ids) await caller.end(id)
  const ask = (by: LedgerGrouping, from = '2000-01-01', to = '9999-12-31') => caller.client.getLedger({ from, to, by })
  const { lines, total } = await ask(LedgerGrouping.BATCH)
  expect(lines.map(({ name }) => name).sort()).toEqual(ids.toSorted())
  expect(total).toMatchObject({ deviceSeconds: expect.closeTo(0.02 * ITEMS), images: BigInt(2 * ITEMS) })
  for (const by of [LedgerGrouping.TENANT, LedgerGrouping.CHECKPOINT, LedgerGrouping.SCHEDULER])
    expect(await ask(by)).toMatchObject({ lines: [{ images: total!.images }], total })
  expect(await ask(LedgerGrouping.TENANT, '2000-01-01', '2000-12-31')).toMatchObject({
    lines: [],
    total: { images: 0n },
  })
  await expect(ask(LedgerGrouping.TENANT, 'yesterday')).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  await expect(ask(LedgerGrouping.UNSPECIFIED)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
})

test('a worker of a pool that gets no work is told so', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  await caller.patiently(() => caller.client.listWorkers({}))
  using link = createGrpcClient(WorkerLinkService, addresses, { defaultTimeoutMs: 10_000 })
  const worker = { id: 'w1', pool: 'elsewhere' }
  async function* heartbeat() {
    yield { worker }
  }
  const orders = link.attach(heartbeat(), {})[Symbol.asyncIterator]()
  await expect(orders.next()).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: expect.stringContaining("worker w1 is of pool 'elsewhere', work is for default"),
  })
})

test('a second coordinator takes over when the leader goes', async () => {
  const { ports, addresses } = await freeAddresses(2)
  const leader = await startCoordinator(harness, ports[0]!)
  const batchId = await acceptBatch(harness.store, ITEMS)
  using first = createCaller([addresses[0]!])
  await first.submit(batchId)
  await using _standby = await startCoordinator(harness, ports[1]!)
  using second = createCaller([addresses[1]!])
  await expect(second.client.getBatch({ batchId })).rejects.toMatchObject({ code: 'NOT_LEADER' })
  await using worker = new PlayedWorker(harness, addresses, { allowed: 2 })
  using caller = createCaller(addresses)
  await worker.held()
  await leader[Symbol.asyncDispose]()
  worker.resume()
  await caller.end(batchId)
  await expectCompleted(batchId)
})

test('a batch that nobody told of is found in the bucket', async () => {
  const { ports, addresses } = await freeAddresses(1)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using _worker = new PlayedWorker(harness, addresses)
  using caller = createCaller(addresses)
  await caller.end(batchId)
  await expectCompleted(batchId)
})

test('a cancel that was asked for before the coordinator died is carried out by the next', async () => {
  const { ports, addresses } = await freeAddresses(1)
  const first = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 2 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  await worker.held()
  await first[Symbol.asyncDispose]()
  await harness.store.put(keys.cancel(batchId), JSON.stringify({ batchId, requestedAt: new Date().toISOString() }))
  await using _second = await startCoordinator(harness, ports[0]!)
  await caller.end(batchId)
  expect(await doneOf(harness.store, batchId)).toMatchObject({
    state: 'cancelled',
    items: { rendered: 2, failed: 0, cancelled: ITEMS - 2 },
    shards: ITEMS,
  })
})

test('streams that vanish are noticed, made again, and the batch completes', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 2 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  await worker.held()
  const manager = await harness.nats.connection.jetstreamManager()
  await manager.streams.delete(SHARD_STREAM)
  await manager.streams.delete(COMPLETION_STREAM)
  worker.resume()
  await caller.end(batchId)
  await expectCompleted(batchId)
})

test('a cancelled batch ends with counts that sum to its items, and stays cancelled', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 2 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  await worker.held()
  await caller.client.cancelBatch({ batchId })
  await caller.end(batchId)
  const done = await doneOf(harness.store, batchId)
  expect(done).toMatchObject({ state: 'cancelled', items: { rendered: 2, failed: 0, cancelled: ITEMS - 2 } })
  expect(done.output.lines + done.errors.lines).toBe(ITEMS)
  const again = await caller.client.cancelBatch({ batchId })
  expect(again.batch?.items).toMatchObject({ rendered: 2, cancelled: ITEMS - 2, open: 0 })
})

test('an item that nobody can render fails alone, its shard halved until it is, over a restart', async () => {
  const { ports, addresses } = await freeAddresses(1)
  const first = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { poison: 5, allowed: 1 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS, { areAlike: true })
  await caller.submit(batchId)
  // Its shard is in halves by now.
  await worker.held()
  await first[Symbol.asyncDispose]()
  await using _second = await startCoordinator(harness, ports[0]!)
  worker.resume()
  await caller.end(batchId)
  const done = await doneOf(harness.store, batchId)
  expect(done).toMatchObject({ state: 'completed', items: { rendered: ITEMS - 1, failed: 1, cancelled: 0 } })
  const errors = Buffer.from((await harness.store.get(keys.errors(batchId)))!).toString()
  const lines = errors.split('\n').filter(Boolean)
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { index: 5, customId: 'item-5', code: 'RENDER_FAILED', message: expect.stringContaining('INTERNAL') },
  ])
  const records = await Array.fromAsync(harness.store.list(keys.resultFolder(batchId)))
  expect(records).toHaveLength(done.shards)
  const output = Buffer.from((await harness.store.get(keys.output(batchId)))!).toString()
  const indices = output
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { index: number }).index)
  expect(indices).toEqual(Array.from({ length: ITEMS }, (_, index) => index).filter((index) => index !== 5))
})

test('a batch whose time is up ends with what was rendered, the rest cancelled, and says why', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 2 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS, { expiresAt: new Date(Date.now() + 3_000).toISOString() })
  await caller.submit(batchId)
  await worker.held()
  const batch = await caller.end(batchId)
  expect(batch.state).toBe(BatchState.CANCELLED)
  const { rendered, failed, cancelled, open } = batch.items!
  expect([failed, open, rendered + cancelled]).toEqual([0, 0, ITEMS])
  expect(rendered).toBeGreaterThanOrEqual(2)
  expect(cancelled).toBeGreaterThan(0)
  expect(await harness.store.getJson(keys.cancel(batchId))).toMatchObject({ reason: 'expired' })
})

test('a batch that somebody waits for is rendered before one that came first', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 1 })
  using caller = createCaller(addresses)
  const first = await acceptBatch(harness.store, 4 * ITEMS)
  await caller.submit(first)
  await worker.held()
  const waited = await acceptBatch(harness.store, 1, { isInteractive: true })
  await caller.submit(waited)
  await caller.end(waited)
  expect(worker.rendered.map(({ batchId }) => batchId)).toEqual([first, waited])
  worker.resume()
  await caller.end(first)
})

test('a list is of one tenant where one is named', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  const ids: Record<string, string[]> = { acme: [], rival: [] }
  for (let i = 0; i < 6; i++) {
    const tenant = i % 3 === 0 ? 'acme' : 'rival'
    const id = await acceptBatch(harness.store, 1, { tenant })
    await caller.submit(id)
    ids[tenant]!.push(id)
  }
  const found: string[] = []
  for (let pageToken = ''; ;) {
    const { batches, nextPageToken } = await caller.client.listBatches({ pageSize: 3, pageToken, tenant: 'rival' })
    found.push(...batches.map(({ id }) => id))
    if (nextPageToken === '') break
    pageToken = nextPageToken
  }
  expect(found).toEqual(ids['rival']!.toSorted().toReversed())
  const all = await caller.client.listBatches({ pageSize: 10 })
  expect(all.batches).toHaveLength(6)
})
