import { createGrpcClient } from '@darkroom/chassis'
import { WorkerLinkService, WorkerState } from '@darkroom/proto'
import type { WatchBatchResponse } from '@darkroom/proto'
import { EventEmitter, on } from 'node:events'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  acceptBatch,
  createCaller,
  freeAddresses,
  PlayedWorker,
  startCoordinator,
  startHarness,
} from './coordinator.harness.ts'
import type { Harness } from './coordinator.harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

/** Attaches as a worker that takes nothing and sends previews when told to. */
async function attachSender(addresses: readonly string[]) {
  const client = createGrpcClient(WorkerLinkService, addresses, { defaultTimeoutMs: 10_000 })
  const stop = new AbortController()
  const told = new EventEmitter()
  async function* requests() {
    yield { worker: { id: 'sender', pool: 'default', state: WorkerState.STARTING } }
    try {
      for await (const [batchId, item, step, shardId] of on(told, 'send', { signal: stop.signal })) {
        yield { preview: { batchId, shardId, item, image: 0, step, steps: 50, jpeg: Uint8Array.of(0xff, step) } }
      }
    } catch {
      // Told to stop.
    }
  }
  const orders = client.attach(requests(), { signal: stop.signal })[Symbol.asyncIterator]()
  await orders.next()
  const ended = orders.next().catch(() => {})
  return {
    send: (batchId: string, item: number, step: number, shardId = '') =>
      told.emit('send', batchId, item, step, shardId),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await ended
      client[Symbol.dispose]()
    },
  }
}

test('previews that a worker sends reach those who watch the batch, until it ends', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 0 })
  using caller = createCaller(addresses)
  const [watched, other] = [await acceptBatch(harness.store, 2), await acceptBatch(harness.store, 1)]
  for (const batchId of [watched, other]) await caller.submit(batchId)
  await worker.held()
  await using sender = await attachSender(addresses)
  const seen: WatchBatchResponse[] = []
  for await (const message of caller.client.watchBatch({ batchId: watched })) {
    seen.push(message)
    if (seen.length === 1) {
      sender.send(other, 0, 7)
      sender.send(watched, 1, 10)
    }
    if (message.preview?.step === 10) sender.send(watched, 1, 20)
    if (message.preview?.step === 20) worker.resume()
  }
  const previews = seen.flatMap(({ preview }) => (preview === undefined ? [] : [preview]))
  expect(previews).toMatchObject(
    [10, 20].map((step) => ({ batchId: watched, item: 1, image: 0, step, steps: 50, jpeg: Buffer.of(0xff, step) })),
  )
  for (const { batch, preview, revision } of seen) {
    expect(batch === undefined).toBe(preview !== undefined)
    if (preview !== undefined) expect(revision).toBe(0n)
  }
  expect(seen.at(-1)!.batch?.endedAt).toBeDefined()
})

test('who comes to watch later is first sent the newest preview of each image that is being rendered', async () => {
  const { ports, addresses } = await freeAddresses(1)
  await using _coordinator = await startCoordinator(harness, ports[0]!)
  await using worker = new PlayedWorker(harness, addresses, { allowed: 0 })
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, 2)
  await caller.submit(batchId)
  await worker.held()
  const shardId = await vi.waitFor(async () => {
    const { batch } = await caller.client.getBatch({ batchId })
    expect(batch!.runningShards).not.toEqual([])
    return batch!.runningShards[0]!
  })
  await using sender = await attachSender(addresses)
  for (const step of [10, 20]) sender.send(batchId, 0, step, shardId)
  sender.send(batchId, 1, 30, 'of a shard that has ended')
  // Its stream is read by another call: this one has begun when it has got through.
  for await (const { preview } of caller.client.watchBatch({ batchId })) if (preview?.step === 20) break
  const seen: WatchBatchResponse[] = []
  for await (const message of caller.client.watchBatch({ batchId })) if (seen.push(message) === 2) break
  expect(seen.map(({ preview }) => preview?.step)).toEqual([undefined, 20])
  worker.resume()
  let last: WatchBatchResponse | undefined
  for await (const message of caller.client.watchBatch({ batchId })) last = message
  expect(last?.batch?.endedAt).toBeDefined()
  const after = await Array.fromAsync(caller.client.watchBatch({ batchId }))
  expect(after.map(({ preview }) => preview)).toEqual([undefined])
})
