import { expect, test } from 'vitest'
import { DarkroomError, ERROR_CODES } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { callEcho, serveEcho } from './echo.harness.ts'

async function caught(action: Promise<unknown>): Promise<DarkroomError> {
  return action.then(
    () => Promise.reject(new Error('nothing was thrown')),
    (reason: unknown) => (reason instanceof DarkroomError ? reason : Promise.reject(reason as Error)),
  )
}

async function first(messages: AsyncIterable<unknown>): Promise<unknown> {
  for await (const message of messages) return message
  return undefined
}

test('every code of the farm survives the wire with its message and problems', async () => {
  const problems = [{ field: 'width', line: 3, message: 'want a multiple of 16 – got 17' }]
  await using server = await serveEcho({
    once: async ({ value }) => {
      throw new DarkroomError(value as ErrorCode, `because of ${value} …`, { problems })
    },
  })
  using client = callEcho(server)
  for (const code of Object.keys(ERROR_CODES)) {
    const error = await caught(client.once({ value: code }))
    expect(error).toMatchObject({ code, problems })
    expect(error.message).toBe(`because of ${code} …`)
  }
})

test('an error ends each kind of call, also after a stream has begun', async () => {
  const refuse = (): never => {
    throw new DarkroomError('FORBIDDEN', 'not yours')
  }
  async function* one() {
    yield { value: 'one' }
  }
  async function* oneThenRefuse() {
    yield* one()
    refuse()
  }
  await using server = await serveEcho({
    down: oneThenRefuse,
    up: async () => refuse(),
    both: () => refuse(),
  })
  using client = callEcho(server)
  const stream = client.down({})[Symbol.asyncIterator]()
  expect((await stream.next()).value).toMatchObject({ value: 'one' })
  for (const call of [() => stream.next(), () => client.up(one()), () => first(client.both(one()))])
    expect(await caught(call())).toMatchObject({ code: 'FORBIDDEN', message: 'not yours' })
})

test('a bug becomes INTERNAL, and its text stays in the server', async () => {
  await using server = await serveEcho({
    once: async () => {
      throw new TypeError('password is hunter2')
    },
  })
  using client = callEcho(server)
  const error = await caught(client.once({}))
  expect(error.code).toBe('INTERNAL')
  expect(error.message).not.toContain('hunter2')
})

test('more problems than fit into trailers are cut, not lost with the error', async () => {
  const problems = Array.from({ length: 1_000 }, (_, line) => ({ line, message: 'want a number' }))
  await using server = await serveEcho({
    once: async () => {
      throw new DarkroomError('INVALID_REQUEST', 'many lines are wrong', { problems })
    },
  })
  using client = callEcho(server)
  const error = await caught(client.once({}))
  expect(error.message).toBe('many lines are wrong')
  expect(error.problems.length).toBeGreaterThan(50)
  expect(error.problems).toEqual(problems.slice(0, error.problems.length))
})

test('a call that the first coordinator refuses as a standby is tried at the next, which is asked first from then on', async () => {
  let asked = 0
  await using standby = await serveEcho({
    once: async () => {
      asked++
      throw new DarkroomError('NOT_LEADER', 'a standby')
    },
  })
  await using leader = await serveEcho({ once: async ({ value }) => ({ value }) })
  using client = callEcho(standby, leader)
  expect((await client.once({ value: 'a' })).value).toBe('a')
  expect((await client.once({ value: 'b' })).value).toBe('b')
  expect(asked).toBe(1)
})

test('a stream that nobody serves at one address is opened at the next, with its requests from the first on', async () => {
  const gone = await serveEcho({})
  await gone[Symbol.asyncDispose]()
  await using standby = await serveEcho({
    both: async function* (requests) {
      await first(requests)
      yield* []
      throw new DarkroomError('NOT_LEADER', 'a standby')
    },
  })
  await using leader = await serveEcho({
    both: async function* (requests) {
      for await (const { value } of requests) yield { value }
    },
  })
  using client = callEcho(gone, standby, leader)
  async function* reports() {
    yield { value: 'first report' }
  }
  const answer = await first(client.both({ [Symbol.asyncIterator]: reports }))
  expect(answer).toMatchObject({ value: 'first report' })
})

test('calls at once that the same address refuses all reach the one that answers', async () => {
  await using standby = await serveEcho({
    once: async () => {
      throw new DarkroomError('NOT_LEADER', 'a standby')
    },
  })
  await using leader = await serveEcho({ once: async ({ value }) => ({ value }) })
  using client = callEcho(standby, leader)
  const values = ['a', 'b', 'c', 'd']
  const answers = await Promise.all(values.map((value) => client.once({ value })))
  expect(answers.map(({ value }) => value)).toEqual(values)
})

test('an error that is not about the place is not tried elsewhere', async () => {
  let asked = 0
  const impl = {
    once: async (): Promise<never> => {
      asked++
      throw new DarkroomError('NOT_FOUND', 'no such batch')
    },
  }
  await using one = await serveEcho(impl)
  await using other = await serveEcho(impl)
  using client = callEcho(one, other)
  expect(await caught(client.once({}))).toMatchObject({ code: 'NOT_FOUND' })
  expect(asked).toBe(1)
})

test('where nobody answers, the call ends as COORDINATOR_UNAVAILABLE', async () => {
  const gone = await serveEcho({})
  await gone[Symbol.asyncDispose]()
  using client = callEcho(gone)
  expect(await caught(client.once({}))).toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
})
