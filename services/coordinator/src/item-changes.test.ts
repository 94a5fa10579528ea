import { BatchState, keys } from '@darkroom/proto'
import type { ControlDocument } from '@darkroom/proto'
import { expect, test } from 'vitest'
import {
  acceptBatch,
  createCaller,
  freeAddresses,
  PlayedWorker,
  startCoordinator,
  startHarness,
} from './coordinator.harness.ts'

const ITEMS = 6
const all = [{ first: 0, last: ITEMS - 1 }]

test('some items of a batch are paused, cancelled and resumed, and all of it is known after a restart', async () => {
  await using harness = await startHarness()
  const { ports, addresses } = await freeAddresses(1)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  const coordinator = await startCoordinator(harness, ports[0]!)
  await caller.submit(batchId)
  const pauseItems = [{ first: 1, last: 2 }]
  const cancelItems = [{ first: 4, last: 5 }]
  const { batch } = await caller.client.updateBatch({ batchId, pauseItems, cancelItems })
  expect(batch).toMatchObject({ pausedItems: pauseItems, cancelledItems: cancelItems, paused: false })
  await coordinator[Symbol.asyncDispose]()
  await using _second = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses)
  const counts = async () => (await caller.patiently(() => caller.client.getBatch({ batchId }))).batch!.items!
  await expect.poll(counts, { timeout: 15_000 }).toMatchObject({ rendered: 2, cancelled: 2, open: 2 })
  expect(await caller.client.explainItem({ batchId, item: 1 })).toMatchObject({ reason: 'item_paused' })
  await caller.client.updateBatch({ batchId, resumeItems: all })
  expect(await caller.end(batchId)).toMatchObject({
    state: BatchState.COMPLETED,
    items: { rendered: 4, cancelled: 2, failed: 0 },
    pausedItems: [],
    cancelledItems: [],
  })
  const control = await harness.store.getJson<ControlDocument>(keys.control(batchId))
  expect(control).toMatchObject({ pausedItems: [], cancelledItems: [[4, 5]] })
  expect(worker.rendered).toHaveLength(4)
})

test('a resume that another coordinator has stored is followed by the next change', async () => {
  await using harness = await startHarness()
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using _worker = new PlayedWorker(harness, addresses)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  const stored = { batchId, priority: 0, isPaused: true, updatedAt: new Date().toISOString() }
  await harness.store.put(keys.control(batchId), JSON.stringify(stored))
  await caller.submit(batchId)
  await caller.client.updateBatch({ batchId, pauseItems: all })
  const resumed = { ...stored, isPaused: false, priority: 5 }
  await harness.store.put(keys.control(batchId), JSON.stringify(resumed))
  const { batch } = await caller.client.updateBatch({ batchId, priority: 6 })
  expect(batch).toMatchObject({ paused: false, pausedItems: [], priority: 6 })
  await caller.end(batchId)
})

test('items that are none of the batch are refused, and nothing is changed', async () => {
  await using harness = await startHarness()
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS)
  await caller.submit(batchId)
  for (const bad of [
    { first: 3, last: ITEMS },
    { first: 3, last: 2 },
  ]) {
    const change = caller.client.updateBatch({ batchId, priority: 3, cancelItems: [bad] })
    await expect(change).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('0 to 5') })
  }
  expect(await harness.store.getJson(keys.control(batchId))).toBeNull()
})
