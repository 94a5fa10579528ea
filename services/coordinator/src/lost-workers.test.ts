import { createGrpcClient } from '@darkroom/chassis'
import { PRIOR_SECONDS_BETWEEN_LOSSES as PRIOR, WorkerLinkService } from '@darkroom/proto'
import { expect, test } from 'vitest'
import {
  acceptBatch,
  createCaller,
  freeAddresses,
  PlayedWorker,
  startCoordinator,
  startHarness,
} from './coordinator.harness.ts'

test('a worker is told how often workers are lost when it attaches, and again when one was', async () => {
  await using harness = await startHarness()
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  const lost = new PlayedWorker(harness, addresses, { allowed: 0 })
  await caller.submit(await acceptBatch(harness.store, 1))
  await lost.held()
  const holds = async (): Promise<boolean> => {
    const { workers } = await caller.client.listWorkers({})
    return workers.some(({ running }) => running.length > 0)
  }
  while (!(await holds()));

  using link = createGrpcClient(WorkerLinkService, addresses, { defaultTimeoutMs: 10_000 })
  const stop = new AbortController()
  async function* heartbeat() {
    yield { worker: { id: 'other', pool: 'default' } }
    await new Promise((resolve) => stop.signal.addEventListener('abort', resolve))
  }
  const told: number[] = []
  for await (const { order } of link.attach(heartbeat(), { signal: stop.signal })) {
    if (order.case !== 'welcome') continue
    told.push(order.value.meanSecondsBetweenLosses)
    if (told.length === 2) break
    await lost[Symbol.asyncDispose]()
  }
  stop.abort()
  expect(told[0]).toBeCloseTo(PRIOR, -1)
  expect(told[1]).toBeCloseTo(PRIOR / 2, -1)
})
