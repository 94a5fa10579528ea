import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

const ITEMS = ['an apple', 'a panda', 'a rocket'].map((prompt) => ({ checkpoint: 'emoji-sd', prompt }))
const LINES = ITEMS.map((item) => `${JSON.stringify(item)}\n`).join('')
const NDJSON = 'application/x-ndjson'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway[Symbol.asyncDispose]())

const asJson = (approveAfter: unknown) => gateway.post(JSON.stringify({ items: ITEMS, approveAfter }))
const asLines = (approveAfter: unknown) =>
  gateway.post(LINES, { type: NDJSON, query: `?approveAfter=${String(approveAfter)}` })

test.each([
  ['JSON', asJson],
  ['NDJSON', asLines],
])('a batch says after how many items somebody is asked: %s', async (_form, send) => {
  const response = await send(2)
  expect(response.status).toBe(201)
  const { id } = (await response.json()) as { id: string }
  expect(await gateway.store.getJson<BatchDocument>(keys.batch(id))).toMatchObject({ approveAfter: 2 })
})

test.each([
  ['JSON', asJson],
  ['NDJSON', asLines],
])('a number that leaves nothing to ask about, or is none, is refused and nothing stored: %s', async (_form, send) => {
  for (const approveAfter of [0, 3, 4, 1.5, 'two']) {
    const response = await send(approveAfter)
    const { errors } = (await response.json()) as { errors: { field: string }[] }
    expect([approveAfter, response.status, errors[0]?.field.endsWith('approveAfter')]).toEqual([
      approveAfter,
      400,
      true,
    ])
  }
})

test('a yes is told to the coordinator and is not taken back', async () => {
  const { id } = await gateway.accept(ITEMS)
  const patch = (body: object) =>
    fetch(`${gateway.url}/api/v1/batches/${id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const response = await patch({ approved: true })
  expect([response.status, await response.json()]).toMatchObject([200, { approval: { state: 'given' } }])
  expect((await patch({ approved: false })).status).toBe(400)
})
