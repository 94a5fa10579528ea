import { afterAll, beforeAll, expect, test } from 'vitest'
import { keys } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway[Symbol.asyncDispose]())

const JSON_BODY = JSON.stringify({ items: [{ checkpoint: 'emoji-sd', prompt: 'a red apple' }] })
const LINES = '{"prompt":"a red apple"}\n{"prompt":"a panda"}\n'

async function send(key: string, body: string, ndjson = false) {
  const response = await gateway.post(body, {
    ...(ndjson && { type: 'application/x-ndjson', query: '?checkpoint=emoji-sd' }),
    headers: { 'idempotency-key': key },
  })
  const answer = (await response.json()) as { id?: string; code?: string }
  return { status: response.status, isReplay: response.headers.get('idempotency-replayed') === 'true', ...answer }
}

async function batchesStored(): Promise<number> {
  return (await gateway.storedKeys()).filter((key) => key.endsWith('/batch.json')).length
}

test.each([
  ['JSON', JSON_BODY, false],
  ['NDJSON', LINES, true],
])('the same key with the same request makes one batch: %s', async (form, body, ndjson) => {
  const before = await batchesStored()
  const first = await send(`again-${form}`, body, ndjson)
  expect(first).toMatchObject({ status: 201, isReplay: false })
  const again = await send(`again-${form}`, body, ndjson)
  expect(again).toMatchObject({ status: 201, isReplay: true, id: first.id })
  expect(await batchesStored()).toBe(before + 1)
})

test('two at the same time make one batch, and leave nothing of the other', async () => {
  const before = (await gateway.storedKeys()).length
  const answers = await Promise.all(Array.from({ length: 4 }, () => send('together', LINES, true)))
  expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
  expect(answers.filter(({ isReplay }) => !isReplay)).toHaveLength(1)
  expect((await gateway.storedKeys()).length).toBe(before + 2)
})

test('another request with the same key is refused, and makes nothing', async () => {
  await send('mine', JSON_BODY)
  const before = await batchesStored()
  const other = await send('mine', JSON_BODY.replace('apple', 'pear'))
  expect(other).toMatchObject({ status: 422, code: 'IDEMPOTENCY_KEY_REUSED' })
  expect(await send('mine', LINES, true)).toMatchObject({ status: 422 })
  expect(await batchesStored()).toBe(before)
})

test('a refused request leaves its key free', async () => {
  expect(await send('second-try', JSON_BODY.replace('emoji-sd', 'no-such'))).toMatchObject({ status: 400 })
  expect(await send('second-try', JSON_BODY)).toMatchObject({ status: 201, isReplay: false })
})

test('a batch whose gateway died between its claim and its acceptance is accepted by the next try', async () => {
  const { id } = await send('cut-off', JSON_BODY)
  await gateway.store.delete(keys.batch(id!))
  expect(await send('cut-off', JSON_BODY)).toMatchObject({ status: 201, isReplay: true, id })
  expect(await gateway.store.head(keys.batch(id!))).not.toBeNull()
})

test('a key that is none is named', async () => {
  expect(await send('with space', JSON_BODY)).toMatchObject({ status: 400, errors: [{ field: 'Idempotency-Key' }] })
})

test('a key whose batch is deleted by now says so, and makes no other', async () => {
  const body = JSON.stringify({ items: [{ checkpoint: 'emoji-sd', prompt: 'a fox' }] })
  const send = () => gateway.post(body, { headers: { 'idempotency-key': 'of-a-batch-that-is-deleted' } })
  const { id } = (await (await send()).json()) as { id: string }
  const folder = keys.batchFolder(id)
  await gateway.store.deleteMany(await Array.fromAsync(gateway.store.list(folder), ({ key }) => key))
  const answer = await send()
  expect(answer.status).toBe(404)
  expect(await answer.json()).toMatchObject({ detail: expect.stringContaining(id) as string })
})
