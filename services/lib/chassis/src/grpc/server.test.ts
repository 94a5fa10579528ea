import { fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { credentials, loadPackageDefinition } from '@grpc/grpc-js'
import type { Client, ClientDuplexStream, ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { callEcho, EchoService, serveEcho } from './echo.harness.ts'

const require = createRequire(import.meta.url)
const folderOf = (name: string): string => path.dirname(require.resolve(`${name}/package.json`))
const HEALTH = path.join(folderOf('grpc-health-check'), 'proto/health/v1/health.proto')
const REFLECTION = path.join(folderOf('@grpc/reflection'), 'build/proto/grpc/reflection/v1/reflection.proto')

/** A client as any other program has it, made of the public .proto file. */
function stranger(file: string, names: readonly string[], port: number): Client {
  const loaded: unknown = loadPackageDefinition(loadSync(file, { enums: String }))
  const Service = names.reduce((at, name) => (at as Record<string, unknown>)[name], loaded) as ServiceClientConstructor
  const client = new Service(`127.0.0.1:${port}`, credentials.createInsecure())
  onTestFinished(() => client.close())
  return client
}

interface HealthClient extends Client {
  check(request: { service: string }, done: (error: Error | null, answer: { status: string }) => void): void
}

interface ReflectionClient extends Client {
  serverReflectionInfo(): ClientDuplexStream<object, ReflectionAnswer>
}

interface ReflectionAnswer {
  listServicesResponse?: { service: { name: string }[] }
  fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] }
}

test('health is NOT_SERVING until it is said to serve, for the server and for each service', async () => {
  await using server = await serveEcho({})
  const client = stranger(HEALTH, ['grpc', 'health', 'v1', 'Health'], server.port) as HealthClient
  const check = (service: string): Promise<string> =>
    new Promise((resolve, reject) =>
      client.check({ service }, (error, answer) => (error === null ? resolve(answer.status) : reject(error))),
    )
  expect(await check('')).toBe('NOT_SERVING')
  expect(await check(EchoService.typeName)).toBe('NOT_SERVING')
  server.setServing('', true)
  server.setServing(EchoService.typeName, true)
  expect(await check('')).toBe('SERVING')
  expect(await check(EchoService.typeName)).toBe('SERVING')
  server.setServing('', false)
  expect(await check('')).toBe('NOT_SERVING')
  await expect(check('nothing.like.it')).rejects.toMatchObject({ code: 5 })
})

test('reflection lists the services and hands out their descriptors with all that they import', async () => {
  await using server = await serveEcho({})
  const names = ['grpc', 'reflection', 'v1', 'ServerReflection']
  const stream = (stranger(REFLECTION, names, server.port) as ReflectionClient).serverReflectionInfo()
  const ask = async (request: object): Promise<ReflectionAnswer> => {
    const answer = once(stream, 'data')
    stream.write(request)
    return (await answer)[0] as ReflectionAnswer
  }
  const { listServicesResponse } = await ask({ listServices: '' })
  expect(listServicesResponse?.service.map(({ name }) => name)).toContain(EchoService.typeName)
  const { fileDescriptorResponse } = await ask({ fileContainingSymbol: EchoService.typeName })
  const files = fileDescriptorResponse!.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
  expect(files.map(({ name }) => name).sort()).toEqual(['darkroom/test/echo.proto', 'google/protobuf/wrappers.proto'])
  expect(files.flatMap(({ service }) => service).flatMap(({ method }) => method.map(({ name }) => name))).toEqual([
    'Once',
    'Down',
    'Up',
    'Both',
  ])
  stream.end()
})

test('two servers live in one process, each with methods and health of its own', async () => {
  await using one = await serveEcho({ once: async () => ({ value: 'one' }) })
  await using other = await serveEcho({ once: async () => ({ value: 'other' }) })
  using toOne = callEcho(one)
  using toOther = callEcho(other)
  expect((await toOne.once({})).value).toBe('one')
  expect((await toOther.once({})).value).toBe('other')
})

test('a port that is taken is an error at start', async () => {
  await using server = await serveEcho({})
  await expect(serveEcho({}, { port: server.port })).rejects.toThrow(/EADDRINUSE|address already in use/)
})
