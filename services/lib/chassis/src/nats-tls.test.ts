import { writeFileSync } from 'node:fs'
import { Events } from 'nats'
import path from 'node:path'
import { expect, test } from 'vitest'
import { Secret } from './config.ts'
import { log, TestServer } from './nats.harness.ts'
import { FarmNats } from './nats.ts'
import { open, TestAuthority } from './tls/tls.harness.ts'
import { natsConfigFrom } from './variables.ts'

/** A nats-server that shows a certificate and wants one. */
function serve(authority: TestAuthority): Promise<TestServer> {
  const { caFile, certFile, keyFile } = authority.issue('nats')
  const configFile = path.join(authority.folder, 'nats.conf')
  writeFileSync(
    configFile,
    `tls { ca_file: "${caFile}", cert_file: "${certFile}", key_file: "${keyFile}", verify: true }`,
  )
  return TestServer.start({ configFile, scheme: 'tls' })
}

test('a certificate of the right authority gets a connection, and after a reconnect shows the one that is on disk then', async () => {
  const authority = new TestAuthority()
  const server = await serve(authority)
  const nats = await server.connect('worker', { tls: authority.member('worker') })
  expect((await nats.ensureStreams()).created).toHaveLength(3)
  authority.issue('worker', { expires: new Date(Date.now() - 60_000) })
  const refused = (async () => {
    for await (const { type, data } of nats.connection.status()) if (type === Events.Disconnect) return data
    throw new Error('the connection ended')
  })()
  await server.restart('kept')
  await refused
  expect(nats.isConnected()).toBe(false)
  const again = (async () => {
    for await (const { type } of nats.connection.status()) if (type === Events.Reconnect) return true
    return false
  })()
  authority.issue('worker')
  expect(await again).toBe(true)
})

test('without a certificate, or with one of another authority, there is no connection, and each side is named', async () => {
  const [ours, theirs] = [new TestAuthority(), new TestAuthority()]
  const server = await serve(ours)
  const { caFile } = ours.issue('any')
  const { certFile, keyFile } = theirs.issue('forged')
  await Promise.all([
    expect(server.connect('x', { tls: open({ caFile }) })).rejects.toThrow('DARKROOM_TLS_CERT_FILE'),
    expect(server.connect('x', { tls: open({ caFile, certFile, keyFile }) })).rejects.toThrow('DARKROOM_TLS_CERT_FILE'),
    expect(server.connect('x', { tls: theirs.member('worker') })).rejects.toThrow('check DARKROOM_TLS_CA_FILE'),
  ])
})

test('a URL that does not fit the server is an error that says what to write', async () => {
  const authority = new TestAuthority()
  const secure = await serve(authority)
  const plain = await TestServer.start()
  const servers = secure.url.replace('tls:', 'nats:')
  await expect(FarmNats.connect({ servers, name: 'x' }, log)).rejects.toThrow('write tls:// in DARKROOM_NATS_URL')
  const tls = authority.member('worker')
  await expect(FarmNats.connect({ servers: plain.url.replace('nats:', 'tls:'), name: 'x', tls }, log)).rejects.toThrow(
    'the nats-server offers no TLS',
  )
})

test('half of the credentials is an error that names the other half', () => {
  const values = { natsUrl: 'nats://127.0.0.1:4222', natsUser: 'worker-1', natsPassword: null }
  const config = { name: 'worker', tls: null }
  expect(() => natsConfigFrom(values, config)).toThrow(
    expect.objectContaining({ problems: [expect.objectContaining({ field: 'DARKROOM_NATS_PASSWORD' })] }),
  )
  expect(() => natsConfigFrom({ ...values, natsUser: null, natsPassword: new Secret('x') }, config)).toThrow(
    expect.objectContaining({ problems: [expect.objectContaining({ field: 'DARKROOM_NATS_USER' })] }),
  )
})
