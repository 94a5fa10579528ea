import { ApprovalState, BatchState, keys } from '@darkroom/proto'
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

test('a yes that another coordinator has stored is not taken back by a change, and is followed', async () => {
  await using harness = await startHarness()
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using _worker = new PlayedWorker(harness, addresses)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, ITEMS, { approveAfter: 1 })
  await caller.submit(batchId)
  const yes = { batchId, priority: 0, isPaused: false, isApproved: true, updatedAt: new Date().toISOString() }
  await harness.store.put(keys.control(batchId), JSON.stringify(yes))
  const { batch } = await caller.client.updateBatch({ batchId, priority: 3 })
  expect(batch).toMatchObject({ priority: 3, approval: { afterItems: 1, state: ApprovalState.GIVEN } })
  expect(await harness.store.getJson(keys.control(batchId))).toMatchObject({ priority: 3, isApproved: true })
  expect(await caller.end(batchId)).toMatchObject({ state: BatchState.COMPLETED, items: { rendered: ITEMS } })
})
