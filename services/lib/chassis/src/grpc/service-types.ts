import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'

/** What a method learns of its call besides the request. */
export interface CallContext {
  /** Aborts when the caller goes away, the deadline passes or the server stops. */
  readonly signal: AbortSignal
  readonly metadata: ReadonlyMap<string, string>
  readonly deadline: Date | null
  readonly peer: string
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** Overrides the client's default. Streams have none unless given here. */
  readonly timeoutMs?: number
  readonly metadata?: Readonly<Record<string, string>>
}

type Request<M extends DescMethod> = MessageShape<M['input']>
type Response<M extends DescMethod> = MessageInitShape<M['output']>

type MethodImpl<M extends DescMethod> = M['methodKind'] extends 'unary'
  ? (request: Request<M>, context: CallContext) => Promise<Response<M>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: Request<M>, context: CallContext) => AsyncIterable<Response<M>>
    : M['methodKind'] extends 'client_streaming'
      ? (requests: AsyncIterable<Request<M>>, context: CallContext) => Promise<Response<M>>
      : (requests: AsyncIterable<Request<M>>, context: CallContext) => AsyncIterable<Response<M>>

/** Every method of the service, none optional: an RPC that nobody implements does not compile. */
export type ServiceImpl<S extends DescService> = { readonly [K in keyof S['method']]: MethodImpl<S['method'][K]> }

type ClientMethod<M extends DescMethod> = M['methodKind'] extends 'unary'
  ? (request: MessageInitShape<M['input']>, options?: CallOptions) => Promise<MessageShape<M['output']>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: MessageInitShape<M['input']>, options?: CallOptions) => AsyncIterable<MessageShape<M['output']>>
    : M['methodKind'] extends 'client_streaming'
      ? (
          requests: AsyncIterable<MessageInitShape<M['input']>>,
          options?: CallOptions,
        ) => Promise<MessageShape<M['output']>>
      : (
          requests: AsyncIterable<MessageInitShape<M['input']>>,
          options?: CallOptions,
        ) => AsyncIterable<MessageShape<M['output']>>

/** The same shapes on the caller's side. */
export type Client<S extends DescService> = {
  readonly [K in keyof S['method']]: ClientMethod<S['method'][K]>
} & Disposable

/** protobuf-es describes a service; grpc-js wants paths and (de)serialisers. */
export function definitionOf(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(service, method)]))
}

function methodDefinition(service: DescService, method: DescMethod): MethodDefinition<unknown, unknown> {
  return {
    path: `/${service.typeName}/${method.name}`,
    originalName: method.localName,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: (value) =>
      Buffer.from(toBinary(method.input, create(method.input, value as Record<string, unknown>))),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (value) =>
      Buffer.from(toBinary(method.output, create(method.output, value as Record<string, unknown>))),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  }
}
