import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

const URL = 'https://example.com/hook'
const ITEMS = [{ checkpoint: 'emoji-sd', prompt: 'a red apple' }]
const NDJSON = 'application/x-ndjson'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ DARKROOM_GATEWAY_WEBHOOKS: 'true' })
})
afterAll(() => gateway[Symbol.asyncDispose]())

const notes = async () => (await Array.fromAsync(gateway.store.list(keys.webhooksPending))).map(({ key }) => key)

test.each([
  ['JSON', () => gateway.post(JSON.stringify({ items: ITEMS, webhook: { url: URL } }))],
  [
    'NDJSON',
    () =>
      gateway.post('{"prompt":"a panda"}\n', {
        type: NDJSON,
        query: `?checkpoint=emoji-sd&webhookUrl=${encodeURIComponent(URL)}`,
      }),
  ],
])('a batch that names an address is noted as one to be told of: %s', async (_form, send) => {
  const response = await send()
  expect(response.status).toBe(201)
  const { id } = (await response.json()) as { id: string }
  expect(await gateway.store.getJson<BatchDocument>(keys.batch(id))).toMatchObject({ webhook: { url: URL } })
  expect(await notes()).toContain(keys.webhookPending(id))
})

test('a batch that is refused leaves no note', async () => {
  const before = await notes()
  const items = [...ITEMS, { checkpoint: 'emoji-sd', prompt: 3 }]
  expect((await gateway.post(JSON.stringify({ items, webhook: { url: URL } }))).status).toBe(400)
  const lines = '{"prompt":"a panda"}\n{"prompt":\n'
  const query = `?checkpoint=emoji-sd&webhookUrl=${encodeURIComponent(URL)}`
  expect((await gateway.post(lines, { type: NDJSON, query })).status).toBe(400)
  expect(await notes()).toEqual(before)
})

test.each(['ftp://example.com/', 'example.com', 'https://', 'https://exa mple.com/', 'https://[', ''])(
  'what is no address is refused: %j',
  async (url) => {
    const response = await gateway.post(JSON.stringify({ items: ITEMS, webhook: { url } }))
    expect(response.status).toBe(400)
    const { errors } = (await response.json()) as { errors: { field: string }[] }
    expect(errors[0]!.field).toMatch(/^webhook/)
  },
)

test('a farm that tells nobody says so, rather than accept what it will not do', async () => {
  await using silent = await startTestGateway()
  const forms = [
    silent.post(JSON.stringify({ items: ITEMS, webhook: { url: URL } })),
    silent.post('{"prompt":"a panda"}\n', { type: NDJSON, query: `?checkpoint=emoji-sd&webhookUrl=${URL}` }),
  ]
  for (const response of await Promise.all(forms)) {
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      errors: [{ field: 'webhook', message: expect.stringContaining('DARKROOM_GATEWAY_WEBHOOKS') as string }],
    })
  }
})
