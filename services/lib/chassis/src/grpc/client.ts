import type { DescMethod, DescService } from '@bufbuild/protobuf'
import { Client as Channel, Metadata } from '@grpc/grpc-js'
import type { ClientDuplexStream, MethodDefinition, ServiceError } from '@grpc/grpc-js'
import { once } from 'node:events'
import { DarkroomError } from '../errors.ts'
import { channelCredentials, withRemedy } from './credentials.ts'
import type { ClientTls } from './credentials.ts'
import { definitionOf } from './service-types.ts'
import type { CallOptions, Client } from './service-types.ts'
import { traceparentNow } from '../tracing/spans.ts'
import { fromStatus } from './status.ts'

const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // A pod that was replaced has its name and another address; by default nobody would ask for it within half a minute.
  'grpc.dns_min_time_between_resolutions_ms': 500,
  // The farm's own traffic never takes the way that HTTP_PROXY names.
  'grpc.enable_http_proxy': 0,
}

/**
 * Calls a service at the first of its addresses that answers. A call that UNAVAILABLE or NOT_LEADER ends before its first
 * response is tried at the next address, with its request stream iterated anew; the one that answered is asked first from then on.
 * @throws DarkroomError with the server's code, message and problems
 */
export function createGrpcClient<S extends DescService>(
  service: S,
  addresses: string | readonly string[],
  options: { defaultTimeoutMs: number; tls?: ClientTls | null },
): Client<S> {
  const { tls = null } = options
  const channels = [addresses].flat().map((address) => new Channel(address, channelCredentials(tls), CHANNEL_OPTIONS))
  const definitions = definitionOf(service)
  let preferred = 0

  const attempt = async <T>(call: (channel: Channel) => Promise<T>): Promise<T> => {
    const first = preferred
    for (let tried = 1; ; tried++) {
      const index = (first + tried - 1) % channels.length
      try {
        const answer = await call(channels[index]!)
        preferred = index
        return answer
      } catch (reason) {
        const isElsewhere =
          reason instanceof DarkroomError && (reason.code === 'NOT_LEADER' || reason.code === 'COORDINATOR_UNAVAILABLE')
        if (!isElsewhere || tried === channels.length)
          throw reason instanceof DarkroomError ? withRemedy(reason, tls) : reason
      }
    }
  }

  const methodOf = (method: DescMethod): unknown => {
    const definition = definitions[method.localName] as MethodDefinition<unknown, unknown>
    if (definition.responseStream) {
      return async function* (input: unknown, callOptions: CallOptions = {}): AsyncIterable<unknown> {
        const requests = definition.requestStream ? new Replay(input as AsyncIterable<unknown>) : null
        try {
          const opened = await attempt((channel) =>
            openStream(channel, definition, requests?.read() ?? input, callOptions),
          )
          requests?.keepNoMore()
          yield* opened
        } finally {
          requests?.stop()
        }
      }
    }
    return (input: unknown, callOptions: CallOptions = {}) =>
      attempt((channel) =>
        callOnce(channel, definition, input, { timeoutMs: options.defaultTimeoutMs, ...callOptions }),
      )
  }

  return {
    ...Object.fromEntries(service.methods.map((method) => [method.localName, methodOf(method)])),
    [Symbol.dispose]: () => channels.forEach((channel) => channel.close()),
  } as Client<S>
}

interface Cancellable {
  cancel(): void
}

function callSettings({ timeoutMs, metadata }: CallOptions): [Metadata, { deadline?: Date }] {
  const sent = new Metadata()
  for (const [key, value] of Object.entries(metadata ?? {})) sent.set(key, value)
  const traceparent = traceparentNow()
  if (traceparent !== null) sent.set('traceparent', traceparent)
  return [sent, timeoutMs === undefined ? {} : { deadline: new Date(Date.now() + timeoutMs) }]
}

function cancelOnAbort(call: Cancellable, signal: AbortSignal | undefined): () => void {
  const cancel = (): void => call.cancel()
  if (signal?.aborted) cancel()
  signal?.addEventListener('abort', cancel)
  return () => signal?.removeEventListener('abort', cancel)
}

async function callOnce(
  channel: Channel,
  definition: MethodDefinition<unknown, unknown>,
  input: unknown,
  options: CallOptions,
): Promise<unknown> {
  const settings = callSettings(options)
  const { path, requestSerialize, responseDeserialize } = definition
  let release = (): void => {}
  try {
    return await new Promise((resolve, reject) => {
      const settle = (error: ServiceError | null, response?: unknown): void =>
        error === null ? resolve(response) : reject(fromStatus(error))
      if (!definition.requestStream) {
        release = cancelOnAbort(
          channel.makeUnaryRequest(path, requestSerialize, responseDeserialize, input, ...settings, settle),
          options.signal,
        )
        return
      }
      const call = channel.makeClientStreamRequest(path, requestSerialize, responseDeserialize, ...settings, settle)
      release = cancelOnAbort(call, options.signal)
      writeAll(call, input as AsyncIterable<unknown>).catch((reason: unknown) => {
        call.cancel()
        reject(reason)
      })
    })
  } finally {
    release()
  }
}

/** Resolves with the responses once the first has come, so that a refusal at the door can be tried elsewhere. */
async function openStream(
  channel: Channel,
  definition: MethodDefinition<unknown, unknown>,
  input: unknown,
  options: CallOptions,
): Promise<AsyncIterable<unknown>> {
  const settings = callSettings(options)
  const { path, requestSerialize, responseDeserialize } = definition
  const call = definition.requestStream
    ? channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, ...settings)
    : channel.makeServerStreamRequest(path, requestSerialize, responseDeserialize, input, ...settings)
  const release = cancelOnAbort(call, options.signal)
  let sourceError: { reason: unknown } | null = null
  if (definition.requestStream) {
    writeAll(call as ClientDuplexStream<unknown, unknown>, input as AsyncIterable<unknown>).catch((reason: unknown) => {
      sourceError = { reason }
      call.cancel()
    })
  }
  const responses = call[Symbol.asyncIterator]()
  const next = async (): Promise<IteratorResult<unknown>> => {
    try {
      return await responses.next()
    } catch (reason) {
      if (sourceError !== null) throw sourceError.reason
      throw reason instanceof Error && 'details' in reason
        ? fromStatus(reason as ServiceError)
        : DarkroomError.from(reason)
    }
  }
  const first = await next().catch((reason: unknown) => {
    release()
    throw reason
  })
  return (async function* () {
    try {
      for (let result = first; result.done !== true; result = await next()) yield result.value
    } finally {
      release()
      call.cancel()
    }
  })()
}

/** Writes at the server's pace. A source that waits for its next message when the call ends is told to stop. */
async function writeAll(
  call: { write(message: unknown): boolean; end(): void } & NodeJS.EventEmitter,
  source: AsyncIterable<unknown>,
): Promise<void> {
  const ended = new AbortController()
  for (const event of ['close', 'error', 'status']) call.once(event, () => ended.abort())
  const messages = source[Symbol.asyncIterator]()
  const end = once(ended.signal, 'abort').then(() => null)
  for (;;) {
    const next = await Promise.race([messages.next(), end])
    if (next === null || ended.signal.aborted) {
      // Not awaited: a generator answers only once what it waits for has come.
      void messages.return?.()?.catch(() => {})
      return
    }
    if (next.done === true) break
    if (!call.write(next.value)) await once(call, 'drain', { signal: ended.signal }).catch(() => {})
  }
  call.end()
}

/** Lets each address that is tried read the same requests from the first on; what was read is kept until one has answered. */
class Replay {
  readonly #source: AsyncIterator<unknown>
  readonly #kept: Promise<IteratorResult<unknown>>[] = []
  #isAnswered = false

  constructor(source: AsyncIterable<unknown>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  keepNoMore(): void {
    this.#isAnswered = true
  }

  stop(): void {
    this.#source.return?.().catch(() => {})
  }

  async *read(): AsyncGenerator {
    for (let index = 0; ; index++) {
      let next = this.#kept[index]
      if (next === undefined) {
        next = this.#source.next()
        if (!this.#isAnswered) this.#kept.push(next)
      }
      const result = await next
      if (result.done === true) return
      yield result.value
    }
  }
}
