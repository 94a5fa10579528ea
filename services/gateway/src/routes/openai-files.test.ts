import { once } from 'node:events'
import net from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keys } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

const MAX_FILE_BYTES = 100_000

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ DARKROOM_GATEWAY_MAX_FILE_BYTES: String(MAX_FILE_BYTES) })
})
afterAll(() => gateway[Symbol.asyncDispose]())

interface Answer {
  readonly id: string
  readonly bytes: number
  readonly purpose: string
  readonly created_at: number
  readonly expires_at: number | null
  readonly error?: { readonly param: string | null; readonly message: string; readonly code: string }
}

async function upload(parts: readonly (readonly [string, string | Blob])[]): Promise<Answer & { httpStatus: number }> {
  const form = new FormData()
  for (const [name, value] of parts)
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, value, 'requests.jsonl')
  const response = await fetch(`${gateway.url}/v1/files`, { method: 'POST', body: form })
  return { httpStatus: response.status, ...((await response.json()) as Answer) }
}

async function stored(): Promise<readonly string[]> {
  return Array.fromAsync(gateway.store.list(keys.openAiFiles('default')), ({ key }) => key)
}

const CONTENT = new Blob(['{"a":1}\n{"b":2}\n'])

test.each([
  [
    'before',
    [
      ['purpose', 'batch'],
      ['file', CONTENT],
    ],
  ],
  [
    'after',
    [
      ['file', CONTENT],
      ['purpose', 'batch'],
    ],
  ],
] as const)('the purpose may come %s the file', async (_, parts) => {
  expect(await upload(parts)).toMatchObject({ httpStatus: 200, bytes: CONTENT.size, purpose: 'batch' })
})

test('a file is sent as it was, whole or a range of it', async () => {
  const { id } = await upload([
    ['file', CONTENT],
    ['purpose', 'user_data'],
  ])
  const read = async (range?: string) => {
    const response = await fetch(`${gateway.url}/v1/files/${id}/content`, { headers: range ? { range } : {} })
    return [response.status, response.headers.get('content-range'), await response.text()]
  }
  expect(await read()).toEqual([200, null, await CONTENT.text()])
  expect(await read('bytes=2-4')).toEqual([206, `bytes 2-4/${CONTENT.size}`, 'a":'])
  expect((await read('bytes=99-'))[0]).toBe(416)
})

test('a file expires when it was told to, and one for a batch after 30 days', async () => {
  const file = await upload([
    ['file', CONTENT],
    ['purpose', 'vision'],
    ['expires_after[anchor]', 'created_at'],
    ['expires_after[seconds]', '3600'],
  ])
  expect(file.expires_at! - file.created_at).toBe(3600)
  const ofBatch = await upload([
    ['file', CONTENT],
    ['purpose', 'batch'],
  ])
  expect(ofBatch.expires_at! - ofBatch.created_at).toBe(30 * 86_400)
  const document = (await gateway.store.getJson<object>(keys.openAiFile('default', file.id)))!
  const past = { ...document, expiresAt: '2020-01-01T00:00:00.000Z' }
  await gateway.store.put(keys.openAiFile('default', file.id), JSON.stringify(past))
  expect((await fetch(`${gateway.url}/v1/files/${file.id}`)).status).toBe(404)
  expect((await stored()).some((key) => key.includes(file.id))).toBe(false)
})

test.each([
  ['no file', [['purpose', 'batch']], 'file'],
  [
    'two files',
    [
      ['file', CONTENT],
      ['file', CONTENT],
      ['purpose', 'batch'],
    ],
    'file',
  ],
  ['no purpose', [['file', CONTENT]], 'purpose'],
  [
    'a purpose that is none',
    [
      ['file', CONTENT],
      ['purpose', 'fine-tune'],
    ],
    'purpose',
  ],
  [
    'a life of a second',
    [
      ['file', CONTENT],
      ['purpose', 'batch'],
      ['expires_after[anchor]', 'created_at'],
      ['expires_after[seconds]', '1'],
    ],
    'expires_after',
  ],
] as const)('%s is refused by name, and nothing is left', async (_, parts, param) => {
  const before = await stored()
  expect(await upload(parts)).toMatchObject({ httpStatus: 400, error: { param, code: 'invalid_request' } })
  expect(await stored()).toEqual(before)
})

test('a file over the limit is refused while it comes in, and nothing is left', async () => {
  const before = await stored()
  const large = new Blob([new Uint8Array(MAX_FILE_BYTES + 1)])
  expect(
    await upload([
      ['file', large],
      ['purpose', 'batch'],
    ]),
  ).toMatchObject({
    httpStatus: 413,
    error: { message: expect.stringMatching('DARKROOM_GATEWAY_MAX_FILE_BYTES') },
  })
  expect(await stored()).toEqual(before)
})

test('an upload that is cut off leaves no file', async () => {
  const before = await stored()
  const socket = net.connect(Number(new URL(gateway.url).port), '127.0.0.1')
  socket.write(
    'POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=B\r\ncontent-length: 9999\r\n\r\n' +
      '--B\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"a":1}\n',
  )
  await once(socket, 'connect')
  socket.end()
  socket.resume()
  await once(socket, 'close')
  const page = (await (await fetch(`${gateway.url}/v1/files`)).json()) as { data: { id: string }[] }
  expect(page.data.length).toBe(before.filter((key) => key.endsWith('file.json')).length)
})

test('a body that is no form is told so', async () => {
  const response = await fetch(`${gateway.url}/v1/files`, {
    method: 'POST',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  })
  expect(response.status).toBe(415)
  for (const body of ['', 'nonsense', '--B\r\n\r\n']) {
    const broken = await fetch(`${gateway.url}/v1/files`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'multipart/form-data; boundary=B' },
    })
    expect(broken.status).toBe(400)
  }
})
