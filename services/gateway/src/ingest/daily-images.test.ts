import { keys } from '@darkroom/proto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

const LIMIT = 10

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({}, { tenants: { default: { imagesPerDay: LIMIT } } })
})
afterAll(() => gateway[Symbol.asyncDispose]())

const ask = (numImages: number, checkpoint = 'emoji-sd') =>
  gateway.post(JSON.stringify({ items: [{ checkpoint, prompt: 'a red apple', numImages }] }))

const notes = async (): Promise<number> =>
  (await Array.fromAsync(gateway.store.list(keys.dailyImages('default', new Date().toISOString().slice(0, 10))))).length

async function imagesToday(): Promise<number | null> {
  const response = await fetch(`${gateway.url}/api/v1/me`)
  return ((await response.json()) as { imagesToday: number | null }).imagesToday
}

test('a tenant asks for its images of a day and no more, is told when to come back, and may still ask for less', async () => {
  expect((await ask(6)).status).toBe(201)
  const refused = await ask(5)
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(86_400)
  expect(await refused.json()).toMatchObject({
    code: 'TOO_MANY_REQUESTS',
    detail: expect.stringContaining(`may ask for ${LIMIT} images a day, 6 are taken and 5 are wanted`) as string,
  })
  expect(await imagesToday()).toBe(6)
  expect((await ask(4)).status).toBe(201)
  expect(await imagesToday()).toBe(LIMIT)
  // What is refused leaves nothing behind, whatever it was refused for.
  expect((await ask(1, 'no-such-checkpoint')).status).toBe(400)
  const before = await notes()
  expect((await ask(1)).status).toBe(429)
  expect(await notes()).toBe(before)
})

test('of many batches at the same time, no more are taken than the day allows', async () => {
  await using many = await startTestGateway({}, { tenants: { default: { imagesPerDay: LIMIT } } })
  const items = [{ checkpoint: 'emoji-sd', prompt: 'a red apple', numImages: 3 }]
  const answers = await Promise.all(Array.from({ length: 12 }, () => many.post(JSON.stringify({ items }))))
  const taken = answers.filter(({ status }) => status === 201)
  expect(answers.every(({ status }) => status === 201 || status === 429)).toBe(true)
  expect(3 * taken.length).toBeLessThanOrEqual(LIMIT)
})

test('where a tenant may have any number nobody counts', async () => {
  await using free = await startTestGateway()
  const answer = await free.post(JSON.stringify({ items: [{ checkpoint: 'emoji-sd', prompt: 'a panda' }] }))
  expect([answer.status, answer.headers.has('ratelimit')]).toEqual([201, false])
  expect(await Array.fromAsync(free.store.list('quota/'))).toEqual([])
  expect(await (await fetch(`${free.url}/api/v1/me`)).json()).toMatchObject({ imagesToday: null })
})

test('what one Idempotency-Key asks for counts once, however often and at the same time it is sent', async () => {
  await using keyed = await startTestGateway({}, { tenants: { default: { imagesPerDay: LIMIT } } })
  const body = JSON.stringify({ items: [{ checkpoint: 'emoji-sd', prompt: 'a red apple', numImages: 6 }] })
  const send = () => keyed.post(body, { headers: { 'idempotency-key': 'the-same' } })
  const answers = await Promise.all([send(), send(), send()])
  answers.push(await send())
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201])
  const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as { id: string }).id))
  expect(new Set(ids).size).toBe(1)
  const response = await fetch(`${keyed.url}/api/v1/me`)
  expect(await response.json()).toMatchObject({ imagesToday: 6 })
})

test('what is left of a day stands in the headers of every answer that asks for images, also of one that refuses', async () => {
  await using counted = await startTestGateway({}, { tenants: { default: { imagesPerDay: LIMIT } } })
  const left = (answer: Response): number => {
    expect(answer.headers.get('ratelimit-policy')).toBe(`"images";q=${LIMIT};qu="images";w=86400`)
    const [, remaining, seconds] = /^"images";r=(\d+);t=(\d+)$/.exec(answer.headers.get('ratelimit') ?? '')!
    expect(Number(seconds)).toBeGreaterThan(0)
    expect(Number(seconds)).toBeLessThanOrEqual(86_400)
    return Number(remaining)
  }
  const item = { checkpoint: 'emoji-sd', prompt: 'a red apple' }
  const submit = (numImages: number) => counted.post(JSON.stringify({ items: [{ ...item, numImages }] }))
  const send = (route: string, body: object) =>
    fetch(`${counted.url}${route}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const accepted = await submit(6)
  expect([accepted.status, left(accepted)]).toEqual([201, 4])
  const refused = await submit(5)
  expect([refused.status, left(refused)]).toEqual([429, 4])
  const picture = await send('/v1/images/generations', { model: 'emoji-sd', prompt: 'a red apple', n: 5 })
  expect([picture.status, left(picture)]).toEqual([429, 4])
  const form = new FormData()
  form.append('file', new Blob(['{}\n']), 'requests.jsonl')
  form.append('purpose', 'batch')
  const file = (await (await fetch(`${counted.url}/v1/files`, { method: 'POST', body: form })).json()) as { id: string }
  const batch = await send('/v1/batches', {
    input_file_id: file.id,
    endpoint: '/v1/images/generations',
    completion_window: '24h',
  })
  expect([batch.status, left(batch)]).toEqual([200, 4])
  expect((await fetch(`${counted.url}/api/v1/me`)).headers.has('ratelimit')).toBe(false)
})
