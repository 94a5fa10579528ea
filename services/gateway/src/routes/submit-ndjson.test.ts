import { connect } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keys, SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument, ItemLine } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ DARKROOM_GATEWAY_MAX_ITEMS: '60000' })
})
afterAll(() => gateway[Symbol.asyncDispose]())

function itemLine(i: number): string {
  return `${JSON.stringify({ checkpoint: 'emoji-sd', customId: `apple-${i}`, prompt: `an apple, number ${i}`, seed: i })}\n`
}

function body(lines: number, change: (i: number) => string = itemLine): string {
  return Array.from({ length: lines }, (_, i) => change(i)).join('')
}

async function post(text: string, query = ''): Promise<{ status: number; answer: Record<string, unknown> }> {
  const response = await gateway.post(text, { type: 'application/x-ndjson', query })
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> }
}

test('50,000 lines become parts that end at segment boundaries and say where each segment begins', async () => {
  const { status, answer } = await post(body(50_000))
  expect(status).toBe(201)
  const document = (await gateway.store.getJson<BatchDocument>(keys.batch(String(answer['id']))))!
  expect(document.parts.length).toBeGreaterThan(1)
  let next = 0
  for (const part of document.parts) {
    expect(part.firstItem).toBe(next)
    const bytes = Buffer.from((await gateway.store.get(part.key))!)
    expect(bytes.length).toBe(part.bytes)
    expect(part.segmentOffsets.length).toBe(Math.ceil(part.itemCount / SEGMENT_ITEMS))
    part.segmentOffsets.forEach((offset, i) => {
      const line = bytes.subarray(offset, bytes.indexOf('\n', offset)).toString()
      const index = part.firstItem + i * SEGMENT_ITEMS
      expect(JSON.parse(line) as ItemLine).toMatchObject({ index, seed: index, customId: `apple-${index}` })
    })
    next += part.itemCount
    if (part !== document.parts.at(-1)) expect(part.itemCount % SEGMENT_ITEMS).toBe(0)
  }
  expect(next).toBe(50_000)
})

test('a broken line 30,001 of 50,000 is named and nothing is stored', async () => {
  const before = await gateway.storedKeys()
  const { status, answer } = await post(body(50_000, (i) => (i === 30_000 ? '{"prompt": "an app\n' : itemLine(i))))
  expect(status).toBe(400)
  expect(answer['errors']).toEqual([{ line: 30_001, message: expect.stringMatching('cut off') }])
  expect(await gateway.storedKeys()).toEqual(before)
})

test('a line that is not UTF-8 is named with those that were wrong before it', async () => {
  const lines = Buffer.concat([
    Buffer.from(body(3)),
    Buffer.from('{"prompt":"x","sed":1}\n'),
    Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    Buffer.from(body(3)),
  ])
  const response = await fetch(`${gateway.url}/api/v1/batches`, {
    method: 'POST',
    body: lines,
    headers: { 'content-type': 'application/x-ndjson' },
  })
  expect(response.status).toBe(400)
  const { errors } = (await response.json()) as { errors: object[] }
  expect(errors).toMatchObject([
    { line: 4, field: 'sed' },
    { line: 5, message: expect.stringMatching('UTF-8') },
  ])
})

test('after twenty problems the answer comes although the body goes on', async () => {
  const { status, answer } = await post(body(50_000, () => '{"prompt":1}\n'))
  expect(status).toBe(400)
  expect(answer['detail']).toMatch('20 or more problems')
  expect(answer['errors']).toHaveLength(20)
})

test('blank lines and carriage returns are no items, and the last line needs no newline', async () => {
  const { status, answer } = await post(`\n${itemLine(0).trim()}\r\n\r\n   \n${itemLine(1).trim()}`)
  expect(status).toBe(201)
  expect(answer).toMatchObject({ itemCount: 0, checkpoints: [gateway.pins['emoji-sd']] })
  const document = (await gateway.store.getJson<BatchDocument>(keys.batch(String(answer['id']))))!
  expect(document.itemCount).toBe(2)
})

test('defaults come from the query', async () => {
  const { status, answer } = await post(
    '{"prompt":"x"}\n',
    '?checkpoint=emoji-sd&numInferenceSteps=9&guidanceScale=2.5',
  )
  expect(status).toBe(201)
  const part = await gateway.store.get(keys.inputPart(String(answer['id']), 0))
  expect(JSON.parse(Buffer.from(part!).toString())).toMatchObject({ numInferenceSteps: 9, guidanceScale: 2.5 })
})

test('more items than a batch may have are refused with 413 and nothing is stored', async () => {
  const before = await gateway.storedKeys()
  const { status, answer } = await post(body(60_001))
  expect([status, answer['code']]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  expect(await gateway.storedKeys()).toEqual(before)
})

test('an upload that is cut off midway leaves nothing in the bucket', async () => {
  const before = await gateway.storedKeys()
  const lines = body(40_000)
  const socket = connect(gateway.httpPort, '127.0.0.1')
  const head = `POST /api/v1/batches HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: ${lines.length}\r\n\r\n`
  socket.on('error', () => {})
  socket.write(head + lines.slice(0, -100))
  await expect.poll(async () => (await gateway.storedKeys()).length, { timeout: 10_000 }).toBeGreaterThan(before.length)
  socket.destroy()
  await expect.poll(() => gateway.storedKeys(), { timeout: 10_000 }).toEqual(before)
})

test('a chunked body without its end is answered with a problem and leaves nothing', async () => {
  const before = await gateway.storedKeys()
  const socket = connect({ port: gateway.httpPort, host: '127.0.0.1', allowHalfOpen: true })
  const line = itemLine(0)
  socket.write(
    'POST /api/v1/batches HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n',
  )
  socket.end(`${line.length.toString(16)}\r\n${line}\r\n`)
  let answer = ''
  socket.on('data', (data) => (answer += String(data)))
  await once(socket, 'close')
  expect(answer).toMatch('HTTP/1.1 400')
  expect(answer).toMatch('cut off')
  expect(await gateway.storedKeys()).toEqual(before)
})

test('a client that waits for 100 Continue gets it', async () => {
  const socket = connect(gateway.httpPort, '127.0.0.1')
  const line = itemLine(0)
  socket.write(
    `POST /api/v1/batches HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\ncontent-length: ${line.length}\r\n\r\n`,
  )
  const [first] = (await once(socket, 'data')) as [Buffer]
  expect(first.toString()).toMatch('HTTP/1.1 100')
  let answer = ''
  socket.on('data', (data) => (answer += String(data)))
  socket.write(line)
  await once(socket, 'close')
  expect(answer).toMatch('HTTP/1.1 201')
})

test('a stop in the middle of an upload leaves nothing of it', async () => {
  const stopped = await startTestGateway({ DARKROOM_GATEWAY_GRACE_MS: '0' })
  const lines = body(40_000)
  const socket = connect(stopped.httpPort, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    `POST /api/v1/batches HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: ${lines.length}\r\n\r\n${lines.slice(0, -100)}`,
  )
  await expect.poll(async () => (await stopped.storedKeys()).length, { timeout: 10_000 }).toBeGreaterThan(0)
  await stopped.stopGateway()
  expect(await stopped.storedKeys()).toEqual([])
  await stopped[Symbol.asyncDispose]()
})
