import { afterAll, beforeAll, expect, test } from 'vitest'
import { DarkroomError } from '@darkroom/chassis'
import { BatchState } from '@darkroom/proto'
import type { WatchBatchRequest } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway[Symbol.asyncDispose]())

interface Event {
  readonly id: string
  readonly event: string
  readonly data: { readonly state: string; readonly imagesRendered: number }
}

async function submit(): Promise<string> {
  const { id } = await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  return id
}

function follow(id: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${gateway.url}/api/v1/batches/${id}/events`, { headers })
}

async function eventsOf(response: Response): Promise<Event[]> {
  const blocks = (await response.text()).split('\n\n').filter((block) => block !== '' && !block.startsWith(':'))
  return blocks.map((block) => {
    const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2)))
    return { id: fields['id'], event: fields['event'], data: JSON.parse(fields['data']) }
  })
}

async function openClients(): Promise<string | undefined> {
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  return /^darkroom_gateway_event_clients (\d+)$/m.exec(metrics)?.[1]
}

test('each change is an event with its revision as id, and the last one is named end', async () => {
  const id = await submit()
  gateway.coordinator.watch = async function* ({ batchId }) {
    yield { revision: 0n, batch: gateway.coordinator.put(batchId, { state: BatchState.QUEUED }) }
    yield { revision: 9n, batch: gateway.coordinator.put(batchId, { state: BatchState.RUNNING, imagesRendered: 1 }) }
    yield { revision: 20n, batch: gateway.coordinator.put(batchId, { state: BatchState.COMPLETED, imagesRendered: 2 }) }
  }
  const response = await follow(id)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toMatch('text/event-stream')
  expect((await eventsOf(response)).map(({ id, event, data }) => [id, event, data.state, data.imagesRendered])).toEqual(
    [
      ['0', 'progress', 'queued', 0],
      ['9', 'progress', 'running', 1],
      ['20', 'end', 'completed', 2],
    ],
  )
})

test('previews come between as data URLs, and leave Last-Event-ID where it was', async () => {
  const id = await submit()
  const seen: bigint[] = []
  const preview = { item: 3, image: 1, step: 10, steps: 25, jpeg: Uint8Array.of(0xff, 0xd8, 0xff) }
  async function* watch({ batchId, afterRevision }: WatchBatchRequest) {
    seen.push(afterRevision)
    yield { revision: 9n, batch: gateway.coordinator.put(batchId, { state: BatchState.RUNNING }) }
    yield { preview: { batchId, ...preview } }
    yield { preview: { batchId, ...preview, step: 20 } }
    if (seen.length === 1) throw new DarkroomError('COORDINATOR_UNAVAILABLE', 'it goes away')
    yield { revision: 20n, batch: gateway.coordinator.put(batchId, { state: BatchState.COMPLETED }) }
  }
  gateway.coordinator.watch = watch as unknown as typeof gateway.coordinator.watch
  const events = await eventsOf(await follow(id))
  const once = [
    ['9', 'progress'],
    [undefined, 'preview'],
    [undefined, 'preview'],
  ]
  expect(events.map(({ id, event }) => [id, event])).toEqual([...once, ...once, ['20', 'end']])
  expect(events[1]!.data).toEqual({ item: 3, image: 1, step: 10, steps: 25, picture: 'data:image/jpeg;base64,/9j/' })
  expect(seen).toEqual([0n, 9n])
})

test('Last-Event-ID is where the coordinator goes on', async () => {
  const id = await submit()
  const seen: bigint[] = []
  gateway.coordinator.watch = async function* ({ batchId, afterRevision }) {
    seen.push(afterRevision)
    yield { revision: 20n, batch: gateway.coordinator.put(batchId, { state: BatchState.CANCELLED }) }
  }
  const events = await eventsOf(await follow(id, { 'last-event-id': '12' }))
  expect(seen).toEqual([12n])
  expect(events.map(({ event }) => event)).toEqual(['end'])
})

test('who has seen the end of a batch is told that nothing follows', async () => {
  const id = await submit()
  gateway.coordinator.put(id, { state: BatchState.COMPLETED })
  gateway.coordinator.watch = async function* () {}
  expect((await follow(id, { 'last-event-id': '20' })).status).toBe(204)
})

test('a coordinator that goes away in the middle is waited for, and no event comes twice', async () => {
  await using other = await startTestGateway()
  const { id } = await other.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  const seen: bigint[] = []
  other.coordinator.watch = async function* ({ batchId, afterRevision }, signal) {
    seen.push(afterRevision)
    yield { revision: 8n + afterRevision, batch: other.coordinator.put(batchId, { state: BatchState.RUNNING }) }
    if (afterRevision === 0n) await new Promise((resolve) => signal.addEventListener('abort', resolve))
    else yield { revision: 100n, batch: other.coordinator.put(batchId, { state: BatchState.COMPLETED }) }
  }
  const response = await fetch(`${other.url}/api/v1/batches/${id}/events`)
  await expect.poll(() => seen).toEqual([0n])
  await other.coordinator.stop()
  await other.coordinator.start()
  const events = await eventsOf(response)
  expect(seen).toEqual([0n, 8n])
  expect(events.map(({ id }) => id)).toEqual(['8', '16', '100'])
})

test('a client that goes away ends the watch at the coordinator', async () => {
  const id = await submit()
  const ended = Promise.withResolvers<void>()
  gateway.coordinator.watch = async function* ({ batchId }, signal) {
    yield { revision: 1n, batch: gateway.coordinator.put(batchId, { state: BatchState.RUNNING }) }
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    ended.resolve()
  }
  const client = new AbortController()
  const response = await fetch(`${gateway.url}/api/v1/batches/${id}/events`, { signal: client.signal })
  await response.body!.getReader().read()
  expect(await openClients()).toBe('1')
  client.abort()
  await ended.promise
  await expect.poll(openClients).toBe('0')
})

test('unknown batches and unusable ids are refused before any event', async () => {
  expect((await follow('b00000000000000000000zz')).status).toBe(404)
  const id = await submit()
  expect((await follow(id, { 'last-event-id': 'abc' })).status).toBe(400)
  expect((await follow(id, { accept: 'application/json' })).status).toBe(406)
})

test('a gateway that stops ends its event streams', async () => {
  await using other = await startTestGateway()
  const { id } = await other.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  other.coordinator.watch = async function* ({ batchId }, signal) {
    yield { revision: 1n, batch: other.coordinator.put(batchId, { state: BatchState.RUNNING }) }
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
  }
  const response = await fetch(`${other.url}/api/v1/batches/${id}/events`)
  const reader = response.body!.getReader()
  await reader.read()
  await other.stopGateway()
  expect((await reader.read()).done).toBe(true)
})
