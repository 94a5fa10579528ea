import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { createLogger, Metrics } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, DoneDocument, WebhookDocument } from '@darkroom/proto'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  acceptBatch,
  createCaller,
  freeAddresses,
  PlayedWorker,
  startCoordinator,
  startHarness,
} from '../coordinator.harness.ts'
import type { Harness } from '../coordinator.harness.ts'
import { createEvents } from '../events.ts'
import { Webhooks } from './webhooks.ts'

const SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes, ok').toString('base64')}`
const HOUR_MS = 3_600_000

interface Told {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A real receiver on loopback. It answers the statuses that it is given, in order, and 204 from then on. */
async function startReceiver(statuses: number[] = []) {
  const told: Told[] = []
  let onTold = Promise.withResolvers<void>()
  const server = createServer((request, response) => {
    void buffer(request).then((bytes) => {
      told.push({ headers: request.headers, body: bytes.toString() })
      response.writeHead(statuses.shift() ?? 204, { location: '/elsewhere' }).end()
      onTold.resolve()
      onTold = Promise.withResolvers()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    told,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    next: () => onTold.promise,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

/** A batch of which only its documents are there, and the note that its end is to be told. */
async function endedBatch(url: string): Promise<string> {
  const { store } = harness
  const id = await acceptBatch(store, 1, { tenant: 'anna', webhook: { url } })
  const endedAt = new Date().toISOString()
  const document = await store.getJson<BatchDocument>(keys.batch(id))
  const done: DoneDocument = {
    batchId: id,
    state: 'completed',
    startedAt: document!.createdAt,
    endedAt,
    items: { rendered: 1, failed: 0, cancelled: 0 },
    images: 1,
    shards: 1,
    schedulers: [],
    output: { key: keys.output(id), bytes: 1, lines: 1, sha256: '' },
    errors: { key: keys.errors(id), bytes: 0, lines: 0, sha256: '' },
  }
  await store.put(keys.done(id), JSON.stringify(done))
  await store.put(keys.webhookPending(id), JSON.stringify({ notedAt: endedAt }))
  return id
}

function createTeller({ mayBePrivate = true } = {}) {
  let laterMs = 0
  const clock = {
    nowMs: () => Date.now() + laterMs,
    date: () => new Date(Date.now() + laterMs),
    delay: () => Promise.resolve(),
  }
  const events = createEvents(new Metrics(), createLogger('test', 'silent'))
  const signingKey = Buffer.from(SECRET.slice('whsec_'.length), 'base64')
  const { store } = harness
  const webhooks = new Webhooks({ store, events, clock, signingKey, mayBePrivate })
  return {
    later: (ms: number) => (laterMs += ms),
    tell: (isOpen = (_batchId: string) => false) => webhooks.tellAll(isOpen, new AbortController().signal),
  }
}

const outcomeOf = (id: string) => harness.store.getJson<WebhookDocument>(keys.webhook(id))
const pending = () => Array.fromAsync(harness.store.list(keys.webhooksPending))

beforeEach(async () => {
  for (const { key } of await pending()) await harness.store.delete(key)
})

test('an end is told once, signed as Standard Webhooks has it', async () => {
  await using receiver = await startReceiver()
  const id = await endedBatch(receiver.url)
  const teller = createTeller()
  await teller.tell()
  await teller.tell()
  expect(receiver.told).toHaveLength(1)
  const [{ headers, body }] = receiver.told as [Told]
  const message = new Webhook(SECRET).verify(body, headers as Record<string, string>)
  expect(message).toMatchObject({
    type: 'batch.completed',
    data: { id, tenant: 'anna', state: 'completed', itemCount: 1, items: { rendered: 1, failed: 0 }, images: 1 },
  })
  expect(headers['content-type']).toBe('application/json')
  expect(await outcomeOf(id)).toMatchObject({ url: receiver.url, attempts: 1, deliveredAt: expect.any(String) })
  expect(await pending()).toEqual([])
})

test('a changed body, and another secret, are not what was signed', async () => {
  await using receiver = await startReceiver()
  await endedBatch(receiver.url)
  await createTeller().tell()
  const [{ headers, body }] = receiver.told as [Told]
  const verify = (secret: string, text: string) => () =>
    new Webhook(secret).verify(text, headers as Record<string, string>)
  expect(verify(SECRET, body.replace('anna', 'bert'))).toThrow('No matching signature')
  expect(verify(`whsec_${Buffer.alloc(32, 1).toString('base64')}`, body)).toThrow('No matching signature')
})

test('a receiver that fails is told again after 5, 10 and 20 seconds, by the same id', async () => {
  await using receiver = await startReceiver([500, 503, 302])
  const id = await endedBatch(receiver.url)
  const teller = createTeller()
  await teller.tell()
  for (const restMs of [5_000, 10_000, 20_000]) {
    const before = receiver.told.length
    teller.later(restMs - 1_000)
    await teller.tell()
    expect(receiver.told).toHaveLength(before)
    teller.later(1_000)
    await teller.tell()
    expect(receiver.told).toHaveLength(before + 1)
  }
  expect(new Set(receiver.told.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([`msg_${id}_ended`]))
  expect(await outcomeOf(id)).toMatchObject({ attempts: 4, deliveredAt: expect.any(String) })
})

test('after a day it is given up, and why stands in the bucket', async () => {
  await using receiver = await startReceiver([500, 500])
  const id = await endedBatch(receiver.url)
  const teller = createTeller()
  await teller.tell()
  teller.later(25 * HOUR_MS)
  await teller.tell()
  expect(await outcomeOf(id)).toMatchObject({
    attempts: 2,
    deliveredAt: null,
    error: `${receiver.url} answered 500`,
  })
  expect(await pending()).toEqual([])
})

test('what is not there is no reason to stop telling others', async () => {
  const gone = await startReceiver()
  await gone[Symbol.asyncDispose]()
  await using receiver = await startReceiver()
  const unheard = await endedBatch(gone.url)
  const heard = await endedBatch(receiver.url)
  await createTeller().tell()
  expect(await outcomeOf(unheard)).toBeNull()
  expect(await outcomeOf(heard)).toMatchObject({ attempts: 1 })
})

test('a batch that is open is not told of', async () => {
  await using receiver = await startReceiver()
  const open = await acceptBatch(harness.store, 1, { webhook: { url: receiver.url } })
  await harness.store.put(keys.webhookPending(open), JSON.stringify({ notedAt: new Date().toISOString() }))
  const ending = await endedBatch(receiver.url)
  const teller = createTeller()
  await teller.tell((id) => id === ending)
  expect(receiver.told).toEqual([])
  await teller.tell()
  expect(receiver.told).toHaveLength(1)
  expect((await pending()).map(({ key }) => key)).toEqual([keys.webhookPending(open)])
})

test('a note without a batch is kept for a day, then dropped', async () => {
  const key = keys.webhookPending('bnever')
  await harness.store.put(key, JSON.stringify({ notedAt: new Date().toISOString() }))
  const teller = createTeller()
  await teller.tell()
  expect(await pending()).toHaveLength(1)
  teller.later(25 * HOUR_MS)
  await teller.tell()
  expect(await pending()).toEqual([])
})

test('an address of a private network is refused unless it is allowed, and what listens there hears nothing', async () => {
  await using receiver = await startReceiver()
  const byNumber = await endedBatch(receiver.url.replace('http:', 'https:'))
  const byName = await endedBatch(receiver.url.replace('http://127.0.0.1', 'https://localhost'))
  const plain = await endedBatch('http://example.com/')
  const teller = createTeller({ mayBePrivate: false })
  await teller.tell()
  teller.later(25 * HOUR_MS)
  await teller.tell()
  expect(receiver.told).toEqual([])
  const remedy = 'an address of a private network: DARKROOM_COORDINATOR_WEBHOOK_PRIVATE allows it'
  expect((await outcomeOf(byNumber))!.error).toContain(remedy)
  expect((await outcomeOf(byName))!.error).toContain(remedy)
  expect((await outcomeOf(plain))!.error).toBe('http://example.com/ is not https')
})

test('a coordinator tells of the batch that it ends; what one could not tell, the next one does', async () => {
  await using receiver = await startReceiver([503])
  const { ports, addresses } = await freeAddresses(1)
  const environment = {
    DARKROOM_COORDINATOR_WEBHOOK_SECRET: SECRET,
    DARKROOM_COORDINATOR_WEBHOOK_PRIVATE: 'true',
  }
  await using worker = new PlayedWorker(harness, addresses)
  using caller = createCaller(addresses)
  const batchId = await acceptBatch(harness.store, 2, { webhook: { url: receiver.url } })
  await harness.store.put(keys.webhookPending(batchId), JSON.stringify({ notedAt: new Date().toISOString() }))
  const refused = receiver.next()
  {
    await using _first = await startCoordinator(harness, ports[0]!, environment)
    await caller.submit(batchId)
    await caller.end(batchId)
    await refused
  }
  const heard = receiver.next()
  await using _second = await startCoordinator(harness, ports[0]!, environment)
  await heard
  expect(worker.rendered.filter((shard) => shard.batchId === batchId)).toHaveLength(2)
  const verified = receiver.told.map(({ headers, body }) =>
    new Webhook(SECRET).verify(body, headers as Record<string, string>),
  )
  expect(verified).toMatchObject([{ data: { id: batchId } }, { data: { id: batchId } }])
  await expect.poll(() => outcomeOf(batchId)).toMatchObject({ deliveredAt: expect.any(String) })
})
