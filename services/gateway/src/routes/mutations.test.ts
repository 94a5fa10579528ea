import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keys } from '@darkroom/proto'
import type { BatchDocument } from '@darkroom/proto'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'
import { Draw, MUTATIONS } from './mutations.harness.ts'

/** Of each mutation of each body. */
const SEEDS = 4
const BOUNDARY = 'B0undary'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ DARKROOM_GATEWAY_MAX_FILE_BYTES: '1000000' })
})
afterAll(() => gateway[Symbol.asyncDispose]())

const line = (n: number): string =>
  `${JSON.stringify({ checkpoint: 'emoji-sd', customId: `é-${n}`, prompt: `ein Fuchs "${n}" 🦊`, seed: n })}\n`

function form(parts: readonly (readonly [header: string, body: Buffer | string])[]): Buffer {
  const written = parts.flatMap(([header, body]) => [
    `--${BOUNDARY}\r\ncontent-disposition: form-data; ${header}\r\n\r\n`,
    body,
    '\r\n',
  ])
  return Buffer.concat([...written, `--${BOUNDARY}--\r\n`].map((part) => Buffer.from(part)))
}

const FORM = `multipart/form-data; boundary=${BOUNDARY}`
const png = await sharp({ create: { width: 16, height: 16, channels: 3, background: '#fa0' } })
  .png()
  .toBuffer()
const lines = Array.from({ length: 20 }, (_, n) => line(n)).join('')

/** What reads bodies, each with one that is sound. That of edits names no checkpoint, so that all of it is read and nothing is rendered. */
const READERS = {
  'a batch in NDJSON': ['/api/v1/batches', 'application/x-ndjson', Buffer.from(lines)],
  'a batch in JSON': [
    '/api/v1/batches',
    'application/json',
    Buffer.from(JSON.stringify({ items: [JSON.parse(line(0)), JSON.parse(line(1))], metadata: { a: 'b' } })),
  ],
  'a picture': ['/api/v1/pictures', 'application/octet-stream', png],
  'a file': [
    '/v1/files',
    FORM,
    form([
      ['name="purpose"', 'batch'],
      ['name="file"; filename="a.jsonl"', lines],
    ]),
  ],
  'an edit': [
    '/v1/images/edits',
    FORM,
    form([
      ['name="model"', 'nobody'],
      ['name="prompt"', 'a fox'],
      ['name="image"; filename="a.png"\r\ncontent-type: image/png', png],
    ]),
  ],
} as const satisfies Record<string, readonly [string, string, Buffer]>

interface Outcome {
  readonly status: number
  readonly answer: {
    readonly id: string
    readonly key?: string
    readonly object?: string
    readonly bytes?: number
    readonly filename?: string
  }
}

async function send([route, type, body]: readonly [string, string, Buffer]): Promise<Outcome> {
  const response = await fetch(gateway.url + route, { method: 'POST', headers: { 'content-type': type }, body })
  return { status: response.status, answer: (await response.json()) as Outcome['answer'] }
}

async function stored(): Promise<readonly string[]> {
  return Array.fromAsync(gateway.store.list(''), ({ key }) => key)
}

/** Taken whole, or refused in words with nothing left of it. */
async function expectAllOrNothing(request: readonly [string, string, Buffer]): Promise<void> {
  const before = await stored()
  const { status, answer } = await send(request)
  if (status < 300) return expectWhole(answer, request[2])
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  expect(answer).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/), title: expect.stringMatching(/./) })
  expect(await stored()).toEqual(before)
}

async function expectWhole({ id, key, object, bytes }: Outcome['answer'], sent: Buffer): Promise<void> {
  if (key !== undefined) return expect(Buffer.from((await gateway.store.get(key))!)).toEqual(sent)
  if (object === 'file') {
    const content = await fetch(`${gateway.url}/v1/files/${id}/content`)
    return expect((await content.arrayBuffer()).byteLength).toBe(bytes)
  }
  const { parts, itemCount } = (await gateway.store.getJson<BatchDocument>(keys.batch(id)))!
  const read = await Promise.all(
    parts.map(async (part) => Buffer.from((await gateway.store.get(part.key))!).toString()),
  )
  const items = read.join('').trimEnd().split('\n')
  expect(items.length).toBe(itemCount)
  for (const item of items) expect(JSON.parse(item)).toMatchObject({ prompt: expect.any(String) })
}

describe.for(Object.entries(READERS))('%s', ([, [route, type, sound]]) => {
  test.for(Object.entries(MUTATIONS))('%s, is taken whole or refused in words', async ([, mutate]) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const body = mutate(sound, new Draw(seed))
      await expectAllOrNothing([route, type, body]).catch((reason: unknown) => {
        throw new Error(`seed ${seed}`, { cause: reason })
      })
    }
  })
})

test.for([
  '../../../etc/passwd',
  '..\\..\\boot.ini',
  '/etc/passwd',
  'batches/b0/done.json',
  'a\0b',
  'a\r\nx-evil: 1',
  'x"; name="purpose',
  '%2e%2e%2f',
  '\u202egnp.exe',
  'n'.repeat(10_000),
  '',
])('a file that calls itself %j is kept under a name of the gateway’s, or refused', async (filename) => {
  const before = await stored()
  const body = form([
    ['name="purpose"', 'batch'],
    [`name="file"; filename="${filename}"`, lines],
  ])
  const { status, answer } = await send(['/v1/files', FORM, body])
  const added = (await stored()).filter((key) => !before.includes(key))
  if (status === 200) {
    const { id, filename: kept } = answer
    expect(added).toEqual([keys.openAiFileContent('default', id), keys.openAiFile('default', id)].toSorted())
    expect(kept!.length).toBeLessThanOrEqual(255)
  } else expect([status, added]).toEqual([400, []])
})
