import { COMPLETION_SUBJECT, shardSubject } from '@darkroom/proto'
import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { completion, log, shard, TestServer } from './nats.harness.ts'
import { FarmNats } from './nats.ts'

const never = new AbortController().signal
const soon = { expiresMs: 5_000, signal: never }
/** The least that a server takes; for pulls that should find nothing. */
const briefly = { expiresMs: 1_000, signal: never }

async function farm(): Promise<FarmNats> {
  const nats = await (await TestServer.start()).connect()
  await nats.ensureStreams()
  return nats
}

test('streams and consumers are made once, also by two coordinators at once', async () => {
  const server = await TestServer.start()
  const [one, other] = [await server.connect(), await server.connect()]
  const all = ['DARKROOM_SHARDS', 'DARKROOM_COMPLETIONS', 'DARKROOM_COMPLETIONS/coordinator']
  const made = await Promise.all([one.ensureStreams(), other.ensureStreams()])
  expect(new Set(made.flatMap(({ created }) => created))).toEqual(new Set(all))
  expect(await one.ensureStreams()).toEqual({ created: [] })
})

test('a shard arrives as it was sent, at its worker alone, and is gone once acknowledged', async () => {
  const nats = await farm()
  expect(await nats.nextShard('default', briefly)).toBeNull()
  expect(await nats.nextShard('big', briefly)).toBeNull()
  const sequence = await nats.dispatchShard('default', shard('00000-00001'))
  expect(await nats.shardBacklog('default')).toEqual({ pending: 1, ackPending: 0 })
  expect(await nats.shardBacklog('big')).toEqual({ pending: 0, ackPending: 0 })
  const delivery = (await nats.nextShard('default', soon))!
  expect(delivery.assignment).toEqual(shard('00000-00001'))
  expect(delivery).toMatchObject({ sequence, deliveryCount: 1 })
  delivery.working()
  expect(await nats.shardBacklog('default')).toEqual({ pending: 0, ackPending: 1 })
  await delivery.ack()
  expect(await nats.shardBacklog('default')).toEqual({ pending: 0, ackPending: 0 })
})

test('a shard that somebody waits for comes by a queue of its own, past those before it', async () => {
  const nats = await farm()
  await nats.dispatchShard('gpu', shard('long'))
  await nats.dispatchShard('gpu', { ...shard('awaited'), isInteractive: true })
  const now = await nats.nextShard('gpu', { ...soon, queue: 'now' })
  expect(now?.assignment).toMatchObject({ shardId: 'awaited', isInteractive: true })
  await now?.ack()
  expect(await nats.nextShard('gpu', { ...briefly, queue: 'now' })).toBeNull()
  expect((await nats.nextShard('gpu', soon))?.assignment.shardId).toBe('long')
})

test('workers that wait at once each get the shard that is theirs, whatever they are called', async () => {
  const nats = await farm()
  const workers = ['gpu-1', 'gpu.1', 'gpu*1', 'gpu=2e=1', 'größe > 1']
  const waiting = workers.map((id) => nats.nextShard(id, soon))
  for (const id of workers.toReversed()) await nats.dispatchShard(id, shard(id))
  const ids = (await Promise.all(waiting)).map((delivery) => delivery?.assignment.shardId)
  expect(ids).toEqual(workers)
})

test('a shard for a worker that is not there yet waits for it', async () => {
  const nats = await farm()
  await nats.dispatchShard('late', shard('a'))
  expect(await nats.nextShard('early', briefly)).toBeNull()
  expect((await nats.nextShard('late', soon))?.assignment.shardId).toBe('a')
})

test('a shard that is given back comes again, with its count of deliveries', async () => {
  const nats = await farm()
  await nats.dispatchShard('default', shard('a'))
  const first = await nats.nextShard('default', soon)
  first?.nak(0)
  const second = await nats.nextShard('default', soon)
  expect(second).toMatchObject({ deliveryCount: 2, sequence: first?.sequence })
})

test('a shard that is withdrawn is never delivered, and may be withdrawn twice', async () => {
  const nats = await farm()
  const sequence = await nats.dispatchShard('default', shard('a'))
  const taken = await nats.dispatchShard('default', shard('b'))
  await nats.withdrawShard(sequence)
  await nats.withdrawShard(sequence)
  const delivery = await nats.nextShard('default', soon)
  expect(delivery?.assignment.shardId).toBe('b')
  await nats.withdrawShard(taken)
  delivery?.nak(0)
  expect(await nats.nextShard('default', briefly)).toBeNull()
})

test('all that waits can be dropped', async () => {
  const nats = await farm()
  await nats.dispatchShard('default', shard('a'))
  await nats.purgeShards()
  expect(await nats.nextShard('default', briefly)).toBeNull()
})

test('a pull that is given up ends at once and takes no shard with it', async () => {
  const nats = await farm()
  const stop = new AbortController()
  const pull = nats.nextShard('default', { expiresMs: 60_000, signal: stop.signal })
  await expect.poll(() => nats.shardBacklog('default').catch(() => null)).toEqual({ pending: 0, ackPending: 0 })
  stop.abort()
  expect(await pull).toBeNull()
  await nats.dispatchShard('default', shard('a'))
  expect((await nats.nextShard('default', soon))?.assignment.shardId).toBe('a')
})

test('a shard too large for the server is refused with a code that nobody retries', async () => {
  const nats = await farm()
  const large = shard('a', 'x'.repeat(2_000_000))
  await expect(nats.dispatchShard('default', large)).rejects.toMatchObject({
    code: 'PAYLOAD_TOO_LARGE',
    message: expect.stringMatching(/^shard a is 2\d{6} bytes long; the nats-server takes 1048576/),
  })
})

test('bytes that are no shard, or no completion, are dropped and hold nothing up', async () => {
  const nats = await farm()
  nats.connection.publish(shardSubject('default'), Uint8Array.of(0xff, 0xff))
  nats.connection.publish(COMPLETION_SUBJECT, Uint8Array.of(0xff, 0xff))
  await nats.dispatchShard('default', shard('a'))
  await nats.publishCompletion(completion('a'))
  expect(await nats.nextShard('default', soon)).toBeNull()
  expect((await nats.nextShard('default', soon))?.assignment.shardId).toBe('a')
  expect(await nats.shardBacklog('default')).toEqual({ pending: 0, ackPending: 1 })
  const stop = new AbortController()
  await nats.consumeCompletions(async ({ shardId }) => {
    expect(shardId).toBe('a')
    stop.abort()
  }, stop.signal)
})

test('completions are handled one after the other, and one that was not handled comes again', async () => {
  const nats = await farm()
  for (const id of ['a', 'b', 'c']) await nats.publishCompletion(completion(id))
  const stop = new AbortController()
  const seen: string[] = []
  let running = 0
  await nats.consumeCompletions(async ({ shardId, committed, workerId }) => {
    expect({ running: ++running, committed, workerId }).toEqual({ running: 1, committed: true, workerId: 'w1' })
    await new Promise(setImmediate)
    running--
    seen.push(shardId)
    if (seen.length === 1) throw new Error('the store is away')
    if (seen.length === 4) stop.abort()
  }, stop.signal)
  expect(seen).toEqual(['a', 'b', 'c', 'a'])
})

test('what a leader that stops has not begun, the next one gets', async () => {
  const nats = await farm()
  for (const id of ['a', 'b', 'c']) await nats.publishCompletion(completion(id))
  const seen = new Set<string>()
  const leadUntilSeen = async (count: number): Promise<void> => {
    const stop = new AbortController()
    await nats.consumeCompletions(async ({ shardId }) => {
      if (seen.add(shardId).size === count) stop.abort()
    }, stop.signal)
  }
  await leadUntilSeen(1)
  await leadUntilSeen(3)
  expect(seen).toEqual(new Set(['a', 'b', 'c']))
})

test('the loss of all storage is noticed and mended on the same connection', async () => {
  const server = await TestServer.start()
  const nats = await server.connect()
  await nats.ensureStreams()
  await nats.dispatchShard('default', shard('lost'))
  const seen = new EventEmitter()
  const stop = new AbortController()
  const consuming = nats.consumeCompletions(async ({ shardId }) => void seen.emit(shardId), stop.signal)

  await server.restart('lost')
  await expect.poll(() => nats.isConnected(), { timeout: 10_000 }).toBe(true)
  const { created } = await nats.ensureStreams()
  expect(created).toHaveLength(3)
  await nats.dispatchShard('default', shard('again'))
  expect((await nats.nextShard('default', soon))?.assignment.shardId).toBe('again')
  const handled = once(seen, 'again')
  await nats.publishCompletion(completion('again'))
  await handled
  stop.abort()
  await consuming
})

test('a restart that keeps the storage loses no shard', async () => {
  const server = await TestServer.start()
  const nats = await server.connect()
  await nats.ensureStreams()
  await nats.dispatchShard('default', shard('kept'))
  await server.restart('kept')
  await expect.poll(() => nats.isConnected(), { timeout: 10_000 }).toBe(true)
  expect(await nats.ensureStreams()).toEqual({ created: [] })
  expect((await nats.nextShard('default', soon))?.assignment.shardId).toBe('kept')
})

test('a server that is away is NATS_UNAVAILABLE, at the start and later', async () => {
  const server = await TestServer.start()
  const nats = await server.connect()
  await nats.ensureStreams()
  await server.kill()
  await expect.poll(() => nats.isConnected(), { timeout: 10_000 }).toBe(false)
  await expect(nats.dispatchShard('default', shard('a'))).rejects.toMatchObject({ code: 'NATS_UNAVAILABLE' })
  await expect(FarmNats.connect({ servers: server.url, name: 'late' }, log)).rejects.toMatchObject({
    code: 'NATS_UNAVAILABLE',
    message: expect.stringContaining(server.url),
  })
})
