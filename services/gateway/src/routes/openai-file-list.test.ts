import { afterAll, beforeAll, expect, test } from 'vitest'
import { keys } from '@darkroom/proto'
import type { BatchDocument, DoneDocument } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'
import type { FileDocument, OpenAiBatchDocument } from '../openai/documents.ts'
import { createFileId, createOpenAiBatchId, resultFileId } from '../openai/ids.ts'

interface Entry {
  readonly id: string
  readonly bytes: number
  readonly purpose: string
  readonly created_at: number
  readonly expires_at: number | null
}

const TENANTS = ['default', 'rival'] as const
/** Longer than this test will be in use. */
const LONG_SECONDS = 50 * 365 * 86_400
const START = Date.parse('2026-11-01T00:00:00Z')
/** What each tenant's list is to have, oldest first. */
const listed = { default: [] as string[], rival: [] as string[] }

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ DARKROOM_GATEWAY_DEFAULT_CHECKPOINT: 'emoji-sd' })
  let minutes = 0
  for (const tenant of TENANTS) {
    const next = (): Date => new Date(START + 60_000 * minutes++)
    const put = async (ids: Promise<readonly string[]>) => listed[tenant].push(...(await ids))
    await put(upload(tenant, next(), 'batch'))
    await put(batch(tenant, next(), { rendered: 2, cancelled: 1 }))
    await put(upload(tenant, next(), 'vision'))
    await put(batch(tenant, next(), { rendered: 3, cancelled: 0 }))
    await put(batch(tenant, next(), null))
    await put(batch(tenant, next(), { rendered: 0, cancelled: 3 }))
    await put(upload(tenant, next(), 'batch'))
  }
})
afterAll(() => gateway[Symbol.asyncDispose]())

async function upload(tenant: string, now: Date, purpose: string): Promise<readonly string[]> {
  const id = createFileId(now)
  const times = { createdAt: now.toISOString(), expiresAt: null }
  const document: FileDocument = { id, bytes: 3, filename: 'x.jsonl', purpose, ...times }
  await gateway.store.put(keys.openAiFileContent(tenant, id), '{}\n')
  await gateway.store.put(keys.openAiFile(tenant, id), JSON.stringify(document))
  return [id]
}

/** A batch of three items in OpenAI's shape; null: it has not ended. @returns the ids of the files that it has */
async function batch(
  tenant: string,
  now: Date,
  ended: { rendered: number; cancelled: number } | null,
): Promise<readonly string[]> {
  const id = createOpenAiBatchId(now)
  const native = await gateway.accept(Array.from({ length: 3 }, () => ({ checkpoint: 'emoji-sd', prompt: 'a fox' })))
  const request: Omit<OpenAiBatchDocument, 'id' | 'tenant'> = {
    input_file_id: 'file-x',
    endpoint: '/v1/images/generations',
    completion_window: '24h',
    createdAt: now.toISOString(),
    expiresAt: now.toISOString(),
    metadata: {},
    outputSeconds: ended?.cancelled === 0 ? LONG_SECONDS : null,
    traceparent: '',
  }
  await gateway.store.put(keys.openAiBatch(tenant, id), JSON.stringify({ id, tenant, ...request }))
  const outcome = { kind: 'accepted', fingerprint: id, document: native satisfies BatchDocument }
  await gateway.store.put(keys.openAiOutcome(tenant, id), JSON.stringify(outcome))
  if (ended === null) return []
  const { rendered, cancelled } = ended
  const image = { n: 0, seed: 1, name: `0-0-${'a'.repeat(64)}.png`, sha256: '', bytes: 9, width: 8, height: 8 }
  const lines = Array.from({ length: rendered }, (_, index) =>
    JSON.stringify({ index, customId: `item-${index}`, state: 'rendered', images: [image] }),
  )
  await gateway.store.put(keys.output(native.id), Buffer.from(lines.map((line) => `${line}\n`).join('')))
  const done: Partial<DoneDocument> = {
    state: cancelled === 0 ? 'completed' : 'cancelled',
    endedAt: new Date().toISOString(),
    items: { rendered, failed: 0, cancelled },
  }
  await gateway.store.put(keys.done(native.id), JSON.stringify(done))
  return [...(cancelled > 0 ? [resultFileId('error', id)] : []), ...(rendered > 0 ? [resultFileId('output', id)] : [])]
}

async function list(query: string): Promise<{ data: Entry[]; has_more: boolean; last_id: string | null }> {
  const response = await fetch(`${gateway.url}/v1/files?${query}`)
  expect(response.status).toBe(200)
  return (await response.json()) as never
}

const idsOf = async (query: string): Promise<string[]> => (await list(query)).data.map(({ id }) => id)

test('uploads and files of results are listed together by age, those of the caller’s tenant alone', async () => {
  expect(listed.default).toHaveLength(7)
  expect(await idsOf('order=asc')).toEqual(listed.default)
  const { data } = await list('')
  expect(data.map(({ id }) => id)).toEqual(listed.default.toReversed())
  const times = data.map(({ created_at: time }) => time)
  expect(times).toEqual(times.toSorted((a, b) => b - a))
})

test.each(['asc', 'desc'])('pages of any size make the whole list, %s', async (order) => {
  const expected = order === 'asc' ? listed.default : listed.default.toReversed()
  for (const limit of [1, 2, 3, 6, 7]) {
    const found: string[] = []
    for (let after = ''; ;) {
      const page = await list(`order=${order}&limit=${limit}${after}`)
      found.push(...page.data.map(({ id }) => id))
      expect(page.data.length).toBeLessThanOrEqual(limit)
      if (!page.has_more) break
      after = `&after=${page.last_id}`
    }
    expect(found).toEqual(expected)
  }
})

test('a list is of one purpose where that is asked for', async () => {
  const of = (purpose: string) => idsOf(`order=asc&purpose=${purpose}`)
  const [a, ...others] = listed.default
  const results = others.filter((id) => /^file-(output|error)-/.test(id))
  expect(await of('batch_output')).toEqual(results)
  expect(await of('batch')).toEqual([a, others.at(-1)])
  expect(await of('vision')).toHaveLength(1)
  expect(await of('fine-tune')).toEqual([])
  expect(await idsOf(`order=asc&purpose=batch_output&limit=2&after=${results[0]}`)).toEqual(results.slice(1, 3))
})

test('the list says of a file of results what the file is: its length, and its end where it has one', async () => {
  const { data } = await list('purpose=batch_output')
  for (const { id, bytes } of data) {
    const content = await (await fetch(`${gateway.url}/v1/files/${id}/content`)).arrayBuffer()
    expect(bytes).toBe(content.byteLength)
    expect(bytes).toBeGreaterThan(100)
  }
  const lives = data.map(({ created_at: start, expires_at: end }) => end && end - start)
  expect(lives.filter((seconds) => seconds !== null)).toEqual([LONG_SECONDS])
})

test('a file of results that was deleted is in no list', async () => {
  const [id] = await batch('default', new Date(START - 60_000), { rendered: 1, cancelled: 0 })
  expect(await idsOf('order=asc&limit=1')).toEqual([id])
  expect((await fetch(`${gateway.url}/v1/files/${id}`, { method: 'DELETE' })).status).toBe(200)
  expect(await idsOf('order=asc')).toEqual(listed.default)
})

test('a batch without failures has no error file', async () => {
  const withoutFailures = listed.default.filter((id) => id.includes('output')).at(-1)!
  const answer = await fetch(`${gateway.url}/v1/files/${withoutFailures.replace('output', 'error')}`)
  expect(answer.status).toBe(404)
})

test('what is known of a batch that was deleted goes when a list meets it', async () => {
  const [id] = await batch('default', new Date(START - 60_000), { rendered: 1, cancelled: 0 })
  const openAiId = id!.replace('file-output-', 'batch_')
  const folder = keys.openAiBatchFolder('default', openAiId)
  const left = () => Array.fromAsync(gateway.store.list(folder), ({ key }) => key)
  const { document } = (await gateway.store.getJson<{ document: BatchDocument }>(
    keys.openAiOutcome('default', openAiId),
  ))!
  const everything = await Array.fromAsync(gateway.store.list(keys.batchFolder(document.id)), ({ key }) => key)
  const batchIds = async () =>
    ((await (await fetch(`${gateway.url}/v1/batches`)).json()) as { data: Entry[] }).data.map((entry) => entry.id)
  // As long as its document is there it is a batch, whatever else is gone.
  await gateway.store.deleteMany(everything.filter((key) => key !== keys.batch(document.id)))
  expect(await batchIds()).toContain(openAiId)
  expect(await left()).toHaveLength(2)
  await gateway.store.delete(keys.batch(document.id))
  expect(await batchIds()).not.toContain(openAiId)
  expect(await left()).toEqual([])
  expect(await idsOf('order=asc')).toEqual(listed.default)
})
