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
  expect((await free.post(JSON.stringify({ items: [{ checkpoint: 'emoji-sd', prompt: 'a panda' }] }))).status).toBe(201)
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
