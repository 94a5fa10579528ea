import { afterAll, beforeAll, expect, test } from 'vitest'
import { imageName, keys } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

let gateway: TestGateway
let id: string
const output = Array.from({ length: 1000 }, (_, index) => `${JSON.stringify({ index })}\n`).join('')
const picture = Buffer.from('not really a picture')
const name = imageName(0, 0, 'c'.repeat(64), 'png')

beforeAll(async () => {
  gateway = await startTestGateway()
  id = (await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])).id
  await gateway.store.put(keys.output(id), output)
  await gateway.store.put(keys.image(id, name), picture, { contentType: 'image/png' })
})
afterAll(() => gateway[Symbol.asyncDispose]())

function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${gateway.url}/api/v1/batches/${id}/${path}`, { headers, redirect: 'manual' })
}

test('output.jsonl comes whole, with its length and an ETag', async () => {
  const response = await get('output.jsonl')
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toMatch('application/x-ndjson')
  expect(response.headers.get('content-length')).toBe(String(output.length))
  expect(response.headers.get('etag')).not.toBe('')
  expect(await response.text()).toBe(output)
})

test.for([
  ['bytes=0-9', 0, 10],
  ['bytes=100-', 100, output.length],
  ['bytes=-25', output.length - 25, output.length],
] as const)('output.jsonl in a range: %s', async ([range, start, end]) => {
  const response = await get('output.jsonl', { range })
  expect(response.status).toBe(206)
  expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${output.length}`)
  expect(await response.text()).toBe(output.slice(start, end))
})

test('a range behind the end is refused with the length', async () => {
  const response = await get('output.jsonl', { range: `bytes=${output.length}-` })
  expect([response.status, response.headers.get('content-range')]).toEqual([416, `bytes */${output.length}`])
})

test('a file that is not written yet is a conflict, a batch that is none is not found', async () => {
  const response = await get('errors.jsonl')
  expect(response.status).toBe(409)
  expect(await response.json()).toMatchObject({
    code: 'CONFLICT',
    detail: expect.stringMatching('when the batch ends'),
  })
  expect((await fetch(`${gateway.url}/api/v1/batches/b00000000000000000000zz/output.jsonl`)).status).toBe(404)
})

test('a picture is a redirect to the object store, which gives it to anybody for a while', async () => {
  const response = await get(`images/${name}`)
  expect(response.status).toBe(307)
  const stored = await fetch(response.headers.get('location')!)
  expect(Buffer.from(await stored.arrayBuffer())).toEqual(picture)
})

test('a picture is sent by the gateway where asked', async () => {
  const response = await get(`images/${name}?proxy=1`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('image/png')
  expect(response.headers.get('cache-control')).toMatch('immutable')
  expect(Buffer.from(await response.arrayBuffer())).toEqual(picture)
  expect((await get(`images/${imageName(0, 0, 'd'.repeat(64), 'png')}?proxy=1`)).status).toBe(404)
})

test('a picture that the client has is not sent again', async () => {
  const etag = (await get(`images/${name}?proxy=1`)).headers.get('etag')!
  for (const path of [`images/${name}`, `images/${name}?proxy=1`]) {
    const response = await get(path, { 'if-none-match': etag })
    expect([response.status, response.headers.get('etag'), await response.text()]).toEqual([304, etag, ''])
  }
  expect((await get(`images/${name}?proxy=1`, { 'if-none-match': '"other"' })).status).toBe(200)
})

test('a picture is sent as the format that it is', async () => {
  const webp = imageName(0, 1, 'e'.repeat(64), 'webp')
  await gateway.store.put(keys.image(id, webp), picture, { contentType: 'image/webp' })
  const response = await get(`images/${webp}?proxy=1`)
  expect(response.headers.get('content-type')).toBe('image/webp')
  await response.body!.cancel()
})

test('a gateway that is told to be a proxy never redirects', async () => {
  await using proxy = await startTestGateway({ DARKROOM_GATEWAY_IMAGES: 'proxy' })
  const other = await proxy.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  await proxy.store.put(keys.image(other.id, name), picture, { contentType: 'image/png' })
  const response = await fetch(`${proxy.url}/api/v1/batches/${other.id}/images/${name}`, { redirect: 'manual' })
  expect(response.status).toBe(200)
})

test.for(['..%2Fbatch.json', 'batch.json', '0-0-zz.png', `${name}%2F..`])('%s is no picture', async (wrong) => {
  expect([400, 404]).toContain((await get(`images/${wrong}`)).status)
})
