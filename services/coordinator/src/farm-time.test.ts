import { timestampNow } from '@bufbuild/protobuf/wkt'
import { createGrpcClient } from '@darkroom/chassis'
import { dayOf, keys, LedgerGrouping, WorkerLinkService } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { createCaller, freeAddresses, startCoordinator, startHarness } from './coordinator.harness.ts'

test('the time of all devices is told at once, and outlives the coordinator that heard of it and the worker', async () => {
  await using harness = await startHarness()
  const { ports, addresses } = await freeAddresses(1)
  const day = dayOf(new Date())
  const ask = (caller: ReturnType<typeof createCaller>, tenant = '') =>
    caller.patiently(() => caller.client.getLedger({ from: day, to: day, by: LedgerGrouping.TENANT, tenant }))
  const told = { wallSeconds: 100, renderSeconds: 60, loadSeconds: 15 }
  const farm = { ...told, idleSeconds: 25, billedSeconds: 0, unbilledSeconds: 60 }
  {
    await using _coordinator = await startCoordinator(harness, ports[0]!)
    using caller = createCaller(addresses)
    await caller.patiently(() => caller.client.listWorkers({}))
    using link = createGrpcClient(WorkerLinkService, addresses, { defaultTimeoutMs: 10_000 })
    const leave = Promise.withResolvers<void>()
    async function* heartbeat() {
      yield { worker: { id: 'w', pool: 'default', connectedAt: timestampNow(), deviceDays: [{ day, ...told }] } }
      await leave.promise
    }
    await link.attach(heartbeat(), {})[Symbol.asyncIterator]().next()
    expect((await ask(caller)).farm).toMatchObject(farm)
    expect((await ask(caller, 'acme')).farm).toBeUndefined()
    leave.resolve()
  }
  expect(await Array.fromAsync(harness.store.list(keys.ledgerWorkers))).toHaveLength(1)
  await using _next = await startCoordinator(harness, ports[0]!)
  using caller = createCaller(addresses)
  expect((await ask(caller)).farm).toMatchObject(farm)
})
