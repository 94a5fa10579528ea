import { create, createFileRegistry } from '@bufbuild/protobuf'
import type { GenService } from '@bufbuild/protobuf/codegenv2'
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import type { StringValueSchema } from '@bufbuild/protobuf/wkt'
import { createLogger } from '../log.ts'
import type { TlsFiles } from '../tls/tls-files.ts'
import { createGrpcClient } from './client.ts'
import type { ClientTls } from './credentials.ts'
import { implement, startGrpcServer } from './server.ts'
import type { GrpcServer } from './server.ts'
import type { Client, ServiceImpl } from './service-types.ts'

type Text = typeof StringValueSchema

/** A service with one method of each kind; `google.protobuf.StringValue` in and out. */
export type Echo = GenService<{
  once: { methodKind: 'unary'; input: Text; output: Text }
  down: { methodKind: 'server_streaming'; input: Text; output: Text }
  up: { methodKind: 'client_streaming'; input: Text; output: Text }
  both: { methodKind: 'bidi_streaming'; input: Text; output: Text }
}>

function describeEcho(): Echo {
  const text = '.google.protobuf.StringValue'
  const method = (name: string, clientStreaming: boolean, serverStreaming: boolean) => ({
    name,
    inputType: text,
    outputType: text,
    clientStreaming,
    serverStreaming,
  })
  const file = create(FileDescriptorProtoSchema, {
    name: 'darkroom/test/echo.proto',
    package: 'darkroom.test',
    syntax: 'proto3',
    dependency: [file_google_protobuf_wrappers.proto.name],
    messageType: [
      {
        name: 'Unused',
        field: [{ name: 'text', number: 1, type: Type.STRING, label: Label.OPTIONAL, jsonName: 'text' }],
      },
    ],
    service: [
      {
        name: 'Echo',
        method: [
          method('Once', false, false),
          method('Down', false, true),
          method('Up', true, false),
          method('Both', true, true),
        ],
      },
    ],
  })
  const registry = createFileRegistry(file, () => file_google_protobuf_wrappers)
  return registry.getService('darkroom.test.Echo') as Echo
}

export const EchoService: Echo = describeEcho()

const unexpected = (): never => {
  throw new Error('this test does not call that')
}

export function serveEcho(
  impl: Partial<ServiceImpl<Echo>>,
  { host = '127.0.0.1', port = 0, tls = null }: { host?: string; port?: number; tls?: TlsFiles | null } = {},
): Promise<GrpcServer> {
  const all: ServiceImpl<Echo> = { once: unexpected, down: unexpected, up: unexpected, both: unexpected, ...impl }
  const log = createLogger('echo', 'silent')
  const services = [implement(EchoService, ['gateway'], all)]
  return startGrpcServer({ host, port, services, tls, log })
}

export function callEcho(...servers: readonly { readonly port: number }[]): Client<Echo> {
  return callEchoOver(null, ...servers)
}

export function callEchoOver(tls: ClientTls | null, ...servers: readonly { readonly port: number }[]): Client<Echo> {
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`)
  return createGrpcClient(EchoService, addresses, { defaultTimeoutMs: 10_000, tls })
}
