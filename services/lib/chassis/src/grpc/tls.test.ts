import { expect, test } from 'vitest'
import { roleOf } from '../tls/roles.ts'
import { open, TestAuthority } from '../tls/tls.harness.ts'
import type { TlsFiles } from '../tls/tls-files.ts'
import { callEcho, callEchoOver, serveEcho } from './echo.harness.ts'
import type { Echo } from './echo.harness.ts'
import type { GrpcServer } from './server.ts'
import type { Client } from './service-types.ts'

/** A server for gateways, with the certificate of a coordinator. */
function serve(tls: TlsFiles): Promise<GrpcServer> {
  const once = async (): Promise<{ value: string }> => ({ value: 'heard' })
  const both = async function* (): AsyncGenerator<{ value: string }> {
    yield { value: 'heard' }
  }
  return serveEcho({ once, both }, { tls })
}

function call(files: TlsFiles, server: GrpcServer): Client<Echo> {
  return callEchoOver({ files, server: 'coordinator' }, server)
}

async function firstOf(client: Client<Echo>): Promise<string> {
  for await (const { value } of client.both((async function* () {})())) return value
  throw new Error('nothing came')
}

test('a certificate of the right role is heard, in calls and in streams', async () => {
  const authority = new TestAuthority()
  await using server = await serve(authority.member('coordinator'))
  using client = call(authority.member('gateway'), server)
  expect((await client.once({})).value).toBe('heard')
  expect(await firstOf(client)).toBe('heard')
})

test('a certificate of another role, or of none, is told which role may call', async () => {
  const authority = new TestAuthority()
  await using server = await serve(authority.member('coordinator'))
  using worker = call(authority.member('worker'), server)
  const refusal = { code: 'FORBIDDEN', message: expect.stringContaining('spiffe://darkroom/gateway') }
  await expect(worker.once({})).rejects.toMatchObject(refusal)
  await expect(worker.once({})).rejects.toThrow('yours is that of worker, of the role worker')
  await expect(firstOf(worker)).rejects.toMatchObject({ code: 'FORBIDDEN' })
  using nobody = call(open(authority.issue('nobody')), server)
  await expect(nobody.once({})).rejects.toThrow('yours is that of nobody, of no role')
})

test('without a certificate there is no connection', async () => {
  const authority = new TestAuthority()
  await using server = await serve(authority.member('coordinator'))
  using client = call(open({ caFile: authority.issue('any').caFile }), server)
  await expect(client.once({})).rejects.toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
  await expect(client.once({})).rejects.toThrow('DARKROOM_TLS_CERT_FILE')
})

test('a certificate of another authority is believed by neither side', async () => {
  const [ours, theirs] = [new TestAuthority(), new TestAuthority()]
  await using server = await serve(ours.member('coordinator'))
  using stranger = call(theirs.member('gateway'), server)
  await expect(stranger.once({})).rejects.toThrow(/certificate/)
  const { caFile } = ours.issue('any')
  const { certFile, keyFile } = theirs.issue('forged', { role: 'gateway' })
  using forger = call(open({ caFile, certFile, keyFile }), server)
  await expect(forger.once({})).rejects.toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
})

test('a certificate that expires while its holder runs is refused from then on', async () => {
  const authority = new TestAuthority()
  await using server = await serve(authority.member('coordinator'))
  const expires = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000)
  const files = authority.member('gateway', { expires })
  const { promise: expired, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, expires.getTime() + 1000 - Date.now())
  await expired
  using client = call(files, server)
  await expect(client.once({})).rejects.toMatchObject({ code: 'COORDINATOR_UNAVAILABLE' })
})

test('a client refuses a server that is of the farm, and no coordinator', async () => {
  const authority = new TestAuthority()
  await using server = await serve(authority.member('worker'))
  using client = call(authority.member('gateway'), server)
  await expect(client.once({})).rejects.toThrow('spiffe://darkroom/coordinator is wanted')
})

test('a client without TLS, and one with TLS before a server without, are told what to look at', async () => {
  const authority = new TestAuthority()
  await using secure = await serve(authority.member('coordinator'))
  using plain = callEcho(secure)
  await expect(plain.once({})).rejects.toThrow('DARKROOM_TLS_CA_FILE')
  await using open = await serveEcho({ once: async () => ({ value: 'heard' }) })
  using wary = call(authority.member('gateway'), open)
  await expect(wary.once({})).rejects.toThrow('DARKROOM_TLS_CA_FILE')
})

test('certificates that are replaced on disk are shown by both sides without a restart', async () => {
  const authority = new TestAuthority()
  const coordinator = authority.member('coordinator')
  const gateway = authority.member('gateway')
  await using server = await serve(coordinator)
  // A role that may not call is issued in the gateway's place: what the server answers tells which certificate it saw.
  authority.issue('gateway', { role: 'worker' })
  gateway.reload()
  using demoted = call(gateway, server)
  await expect(demoted.once({})).rejects.toMatchObject({ code: 'FORBIDDEN' })
  authority.issue('gateway', { role: 'gateway' })
  gateway.reload()
  using promoted = call(gateway, server)
  expect((await promoted.once({})).value).toBe('heard')
  authority.issue('coordinator', { role: 'worker' })
  coordinator.reload()
  using misled = call(gateway, server)
  await expect(misled.once({})).rejects.toThrow('spiffe://darkroom/coordinator is wanted')
})

test('a role is read from one URI alone, wherever else its letters stand', () => {
  const role = (subjectaltname: string): string | null => roleOf({ subjectaltname })
  expect(role('DNS:gpu-1.example, URI:spiffe://darkroom/worker, IP Address:127.0.0.1')).toBe('worker')
  expect(role('DNS:"a, URI:spiffe://darkroom/gateway"')).toBeNull()
  expect(role('DNS:"a\\", URI:spiffe://darkroom/gateway"')).toBeNull()
  expect(role('DNS:spiffe://darkroom/gateway')).toBeNull()
  expect(role('URI:spiffe://elsewhere/gateway')).toBeNull()
  expect(role('URI:spiffe://darkroom/gateway/x')).toBeNull()
  expect(role('URI:spiffe://darkroom/gateway, URI:spiffe://darkroom/worker')).toBeNull()
})
