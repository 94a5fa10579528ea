import { create, toBinary } from '@bufbuild/protobuf'
import type { DescFile, DescMethod, DescService } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { Server } from '@grpc/grpc-js'
import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
  sendUnaryData,
} from '@grpc/grpc-js'
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import { once } from 'node:events'
import { DarkroomError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { checkCaller } from '../tls/roles.ts'
import type { Role } from '../tls/roles.ts'
import type { TlsFiles } from '../tls/tls-files.ts'
import { inSpan, SpanKind } from '../tracing/spans.ts'
import { serverCredentials } from './credentials.ts'
import { definitionOf } from './service-types.ts'
import type { CallContext, ServiceImpl } from './service-types.ts'
import { toStatus } from './status.ts'

export interface ServiceRegistration {
  readonly service: DescService
  readonly impl: Readonly<Record<string, unknown>>
  /** Over TLS, the roles of certificates that may call it. */
  readonly callers: readonly Role[]
}

export interface GrpcServer extends AsyncDisposable {
  readonly port: number
  /** What grpc.health.v1 answers for a service's name, or for '' (the whole server). */
  setServing(service: string, serving: boolean): void
}

export function implement<S extends DescService>(
  service: S,
  callers: readonly Role[],
  impl: ServiceImpl<S>,
): ServiceRegistration {
  return { service, impl, callers }
}

type AnyCall = ServerUnaryCall<unknown, unknown> & ServerDuplexStream<unknown, unknown>
/** Throws for a caller that may not. */
type Admit = (call: AnyCall) => void
type Handler = (argument: unknown, context: CallContext) => unknown

const STOP_GRACE_MS = 2_000

/**
 * Serves protobuf-es services beside grpc.health.v1 and server reflection. With `tls` each caller shows a certificate, whose role
 * says what it may call; health and reflection are for all who have one.
 * What a method throws becomes a status in one place (status.ts); a bug is logged and its text hidden.
 */
export async function startGrpcServer(options: {
  host: string
  port: number
  services: readonly ServiceRegistration[]
  tls?: TlsFiles | null
  log: Logger
}): Promise<GrpcServer> {
  const { host, services, log, tls = null } = options
  const credentials = serverCredentials(tls)
  const stopping = new AbortController()
  const server = new Server({
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
  })
  for (const { service, impl, callers } of services) {
    const handlers = service.methods.map((method) => {
      const admit: Admit = (call) => {
        if (tls !== null) checkCaller(call.getAuthContext().sslPeerCertificate, callers, method.name)
      }
      const act = impl[method.localName] as Handler
      const told = log.child({ rpc: method.name })
      return [method.localName, handle(method, act, admit, stopping.signal, told)]
    })
    server.addService(definitionOf(service), Object.fromEntries(handlers))
  }
  const health = new HealthImplementation({
    '': 'NOT_SERVING',
    ...Object.fromEntries(services.map(({ service }) => [service.typeName, 'NOT_SERVING' as const])),
  })
  health.addToServer(server)
  new ReflectionService(packageDefinition(services.map(({ service }) => service.file))).addToServer(server)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${host}:${options.port}`, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  return {
    port,
    setServing: (service, serving) => health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING'),
    async [Symbol.asyncDispose]() {
      stopping.abort(new DarkroomError('CANCELLED', 'the server is stopping'))
      const closed = Promise.withResolvers<void>()
      server.tryShutdown(() => closed.resolve())
      const forced = setTimeout(() => {
        server.forceShutdown()
        // Not told of connections that never came to speak HTTP/2, such as those of TLS clients to a server without: they end
        // with their peers.
        closed.resolve()
      }, STOP_GRACE_MS)
      await closed.promise
      clearTimeout(forced)
    },
  }
}

function handle(
  { methodKind: kind, name, parent: service }: DescMethod,
  method: Handler,
  admit: Admit,
  stopping: AbortSignal,
  log: Logger,
): UntypedHandleCall {
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': service.typeName, 'rpc.method': name }
  const streamsIn = kind === 'client_streaming' || kind === 'bidi_streaming'
  const streamsOut = kind === 'server_streaming' || kind === 'bidi_streaming'
  const failed = (reason: unknown, signal: AbortSignal): ReturnType<typeof toStatus> => {
    // What a method throws when its signal aborts is a consequence, often a plain AbortError.
    const error = DarkroomError.from(signal.aborted ? signal.reason : reason)
    if (error.code === 'INTERNAL') log.error({ err: error.cause }, 'rpc failed')
    return toStatus(error)
  }
  const invoke = (call: AnyCall, context: CallContext): unknown => {
    admit(call)
    return method(streamsIn ? requestsOf(call, context.signal) : call.request, context)
  }
  if (!streamsOut) {
    return ((call: AnyCall, callback: sendUnaryData<unknown>) => {
      const { context, done } = contextOf(call, stopping)
      const parent = context.metadata.get('traceparent') ?? ''
      const options = { kind: SpanKind.SERVER, parent, attributes }
      void inSpan(`${service.typeName}/${name}`, options, async () => invoke(call, context))
        .then(
          (response) => callback(null, response),
          (reason: unknown) => callback(failed(reason, context.signal)),
        )
        .finally(done)
    }) as UntypedHandleCall
  }
  return ((call: AnyCall) => {
    const { context, done } = contextOf(call, stopping)
    void (async () => send(call, invoke(call, context) as AsyncIterable<unknown>, context.signal))()
      .catch((reason: unknown) => call.emit('error', failed(reason, context.signal)))
      .finally(done)
  }) as UntypedHandleCall
}

/**
 * A call's requests. To iterate the call itself would destroy it at the loop's end, responses and all.
 * Ends by the signal's reason when the caller goes away.
 */
async function* requestsOf(call: AnyCall, signal: AbortSignal): AsyncIterable<unknown> {
  try {
    yield* call.iterator({ destroyOnReturn: false })
  } catch (reason) {
    throw signal.aborted ? signal.reason : reason
  }
  signal.throwIfAborted()
}

/** Writes at the reader's pace and stops the source when the call ends. */
async function send(
  call: ServerWritableStream<unknown, unknown>,
  source: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<void> {
  for await (const message of source) {
    if (signal.aborted) break
    if (!call.write(message)) await once(call, 'drain', { signal }).catch(() => {})
  }
  if (signal.aborted && !call.cancelled) throw signal.reason
  call.end()
}

function contextOf(call: AnyCall, stopping: AbortSignal): { context: CallContext; done: () => void } {
  const gone = new AbortController()
  const abort = (): void => gone.abort(new DarkroomError('CANCELLED', 'the call was cancelled'))
  call.on('cancelled', abort)
  call.on('error', abort)
  const stop = (): void => gone.abort(stopping.reason)
  stopping.addEventListener('abort', stop)
  const deadline = call.getDeadline()
  const metadata = Object.entries(call.metadata.getMap()).map(([key, value]): [string, string] => [
    key,
    value.toString(),
  ])
  return {
    context: {
      signal: gone.signal,
      metadata: new Map(metadata),
      deadline: deadline instanceof Date ? deadline : Number.isFinite(deadline) ? new Date(deadline) : null,
      peer: call.getPeer(),
    },
    done: () => stopping.removeEventListener('abort', stop),
  }
}

/** Reflection reads descriptors through proto-loader; protobuf-es has them at run time, so no file is needed. */
function packageDefinition(files: readonly DescFile[]): ReturnType<typeof loadFileDescriptorSetFromBuffer> {
  const all = new Map<string, DescFile>()
  const add = (file: DescFile): void => {
    for (const dependency of file.dependencies) add(dependency)
    all.set(file.name, file)
  }
  files.forEach(add)
  const set = create(FileDescriptorSetSchema, { file: [...all.values()].map((file) => file.proto) })
  return loadFileDescriptorSetFromBuffer(Buffer.from(toBinary(FileDescriptorSetSchema, set)))
}
