import dns from 'node:dns'
import { EventEmitter, once } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { DarkroomError } from '../errors.ts'
import { createGrpcClient } from './client.ts'
import { callEcho, EchoService, serveEcho } from './echo.harness.ts'
import type { CallContext } from './service-types.ts'

type Texts = AsyncIterable<{ value: string }>

const untilGone = async ({ signal }: CallContext): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort')
}

async function* words(...values: string[]) {
  for (const value of values) yield { value }
}

async function all(messages: Texts): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of messages) values.push(value)
  return values
}

test('a unary call carries the request there, the response back, and metadata, deadline and peer along', async () => {
  let seen: CallContext | null = null
  await using server = await serveEcho({
    once: async ({ value }, context) => {
      seen = context
      return { value: value.toUpperCase() }
    },
  })
  using client = callEcho(server)
  const before = Date.now()
  const { value } = await client.once({ value: 'hi' }, { timeoutMs: 5_000, metadata: { traceparent: '00-ab' } })
  expect(value).toBe('HI')
  expect(seen!.metadata.get('traceparent')).toBe('00-ab')
  expect(seen!.deadline!.getTime()).toBeGreaterThan(before)
  expect(seen!.peer).toMatch(/^127\.0\.0\.1:\d+$/)
})

test('a server stream ends for the caller when the method returns', async () => {
  await using server = await serveEcho({ down: ({ value }) => words(value, 'two', 'three') })
  using client = callEcho(server)
  expect(await all(client.down({ value: 'one' }))).toEqual(['one', 'two', 'three'])
})

test('a server stream may be empty', async () => {
  await using server = await serveEcho({ down: () => words() })
  using client = callEcho(server)
  expect(await all(client.down({}))).toEqual([])
})

test('a client stream is read to its end before the one answer', async () => {
  await using server = await serveEcho({ up: async (requests) => ({ value: (await all(requests)).join('+') }) })
  using client = callEcho(server)
  expect((await client.up(words('a', 'b', 'c'))).value).toBe('a+b+c')
})

test('a client stream may be answered before its end, and its source is told to stop', async () => {
  await using server = await serveEcho({
    up: async (requests) => {
      for await (const { value } of requests) return { value }
      return {}
    },
  })
  using client = callEcho(server)
  const stopped = new EventEmitter()
  const source = {
    [Symbol.asyncIterator]: () => ({
      sent: false,
      next() {
        if (this.sent) return new Promise<never>(() => {})
        this.sent = true
        return Promise.resolve({ done: false as const, value: { value: 'first' } })
      },
      return() {
        stopped.emit('return')
        return Promise.resolve({ done: true as const, value: undefined })
      },
    }),
  }
  const told = once(stopped, 'return')
  expect((await client.up(source)).value).toBe('first')
  await told
})

test('both directions of a stream run at once', async () => {
  await using server = await serveEcho({
    both: async function* (requests) {
      for await (const { value } of requests) yield { value: `${value}!` }
    },
  })
  using client = callEcho(server)
  const answered = new EventEmitter()
  async function* pingPong() {
    yield { value: 'a' }
    await once(answered, 'a!')
    yield { value: 'b' }
    await once(answered, 'b!')
  }
  const seen: string[] = []
  for await (const { value } of client.both(pingPong())) {
    seen.push(value)
    answered.emit(value)
  }
  expect(seen).toEqual(['a!', 'b!'])
})

test('responses go on after the requests of a stream have ended, or are read no further', async () => {
  await using server = await serveEcho({
    both: async function* (requests) {
      let last = ''
      for await (const { value } of requests) {
        last = value
        if (value === 'enough') break
      }
      yield* words(last, 'more')
    },
  })
  using client = callEcho(server)
  expect(await all(client.both(words('a', 'b')))).toEqual(['b', 'more'])
  expect(await all(client.both(words('enough', 'unread')))).toEqual(['enough', 'more'])
})

test('a deadline ends the call at both ends', async () => {
  const ends = new EventEmitter()
  const hang = async (context: CallContext): Promise<never> => {
    await untilGone(context)
    ends.emit('gone')
    throw context.signal.reason
  }
  await using server = await serveEcho({
    once: (_, context) => hang(context),
    down: async function* (_, context) {
      yield { value: 'first' }
      await hang(context)
    },
  })
  using client = callEcho(server)
  for (const call of [() => client.once({}, { timeoutMs: 50 }), () => all(client.down({}, { timeoutMs: 50 }))]) {
    const gone = once(ends, 'gone')
    await expect(call()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    await gone
  }
})

test('aborting the signal cancels the call at both ends, whatever its kind', async () => {
  const ends = new EventEmitter()
  const hang = async (context: CallContext): Promise<never> => {
    ends.emit('begun')
    await untilGone(context)
    ends.emit('gone')
    throw context.signal.reason
  }
  async function* hangAfterOne(context: CallContext) {
    yield { value: 'first' }
    await hang(context)
  }
  await using server = await serveEcho({
    once: (_, context) => hang(context),
    down: (_, context) => hangAfterOne(context),
    up: (_, context) => hang(context),
    both: (_, context) => hangAfterOne(context),
  })
  using client = callEcho(server)
  for (const call of [
    (signal: AbortSignal) => client.once({}, { signal }),
    (signal: AbortSignal) => all(client.down({}, { signal })),
    (signal: AbortSignal) => client.up(words('a'), { signal }),
    (signal: AbortSignal) => all(client.both(words('a'), { signal })),
  ]) {
    const stop = new AbortController()
    const begun = once(ends, 'begun')
    const gone = once(ends, 'gone')
    const refused = expect(call(stop.signal)).rejects.toMatchObject({ code: 'CANCELLED' })
    await begun
    stop.abort()
    await refused
    await gone
  }
  await expect(client.once({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' })
})

test('a reader that leaves a stream early stops its source', async () => {
  const ends = new EventEmitter()
  await using server = await serveEcho({
    down: async function* (_, context) {
      try {
        yield { value: 'first' }
        await untilGone(context)
      } finally {
        ends.emit('stopped')
      }
    },
  })
  using client = callEcho(server)
  const stopped = once(ends, 'stopped')
  for await (const { value } of client.down({})) {
    expect(value).toBe('first')
    break
  }
  await stopped
})

test('a server that stops tells the methods that still run', async () => {
  const server = await serveEcho({
    down: async function* (_, context) {
      yield { value: 'first' }
      await untilGone(context)
      throw context.signal.reason
    },
  })
  using client = callEcho(server)
  const stream = client.down({})[Symbol.asyncIterator]()
  expect((await stream.next()).value).toMatchObject({ value: 'first' })
  const ended = expect(stream.next()).rejects.toMatchObject({ code: 'CANCELLED' })
  await server[Symbol.asyncDispose]()
  await ended
})

test('a writer waits for its reader, in both directions', async () => {
  const message = { value: 'x'.repeat(100_000) }
  const total = 400
  let produced = 0
  async function* flood() {
    for (; produced < total; produced++) yield message
  }
  const held = new EventEmitter()
  await using server = await serveEcho({
    down: () => flood(),
    up: async (requests) => {
      let count = 0
      for await (const _ of requests) {
        if (count++ === 0) {
          held.emit('first')
          await once(held, 'go on')
        }
      }
      return { value: String(count) }
    },
  })
  using client = callEcho(server)
  // What is under way at once: HTTP/2 windows and stream buffers, far less than the 40 MB in all.
  const settled = async (): Promise<number> => {
    for (let before = -1; before !== produced;) {
      before = produced
      for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate)
    }
    return produced
  }

  let received = 0
  for await (const { value } of client.down({})) {
    if (received === 0) expect(await settled()).toBeLessThan(total / 4)
    received += value.length / message.value.length
  }
  expect(received).toBe(total)

  produced = 0
  const first = once(held, 'first')
  const answer = client.up(flood())
  await first
  expect(await settled()).toBeLessThan(total / 4)
  held.emit('go on')
  expect((await answer).value).toBe(String(total))
})

test("a request source that fails ends the call with the source's own error", async () => {
  await using server = await serveEcho({
    up: async (requests) => ({ value: (await all(requests)).join() }),
    both: async function* (requests, context) {
      yield { value: 'open' }
      for await (const { value } of requests) yield { value }
      await untilGone(context)
    },
  })
  using client = callEcho(server)
  async function* broken() {
    yield { value: 'a' }
    throw new DarkroomError('RENDER_FAILED', 'the source broke')
  }
  await expect(client.up(broken())).rejects.toMatchObject({ code: 'RENDER_FAILED' })
  await expect(all(client.both(broken()))).rejects.toMatchObject({ code: 'RENDER_FAILED' })
})

test('a server that comes back at another address of its name is found within seconds', async () => {
  let address = '127.0.0.1'
  const lookup = vi.spyOn(dns.promises, 'lookup')
  lookup.mockImplementation((async () => [{ address, family: 4 }]) as unknown as typeof dns.promises.lookup)
  onTestFinished(() => lookup.mockRestore())
  const first = await serveEcho({ once: async () => ({ value: 'first' }) })
  using client = createGrpcClient(EchoService, `coordinator-0.test:${first.port}`, { defaultTimeoutMs: 1_000 })
  expect((await client.once({})).value).toBe('first')
  await first[Symbol.asyncDispose]()
  address = '127.0.0.2'
  await using _second = await serveEcho(
    { once: async () => ({ value: 'second' }) },
    { host: address, port: first.port },
  )
  const ask = (): Promise<string> =>
    client.once({}).then(
      ({ value }) => value,
      () => '',
    )
  await expect.poll(ask, { timeout: 5_000 }).toBe('second')
})
