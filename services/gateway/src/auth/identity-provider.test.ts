import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { CryptoKey } from 'jose'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway } from '../gateway.harness.ts'
import type { TestGateway } from '../gateway.harness.ts'

const AUDIENCE = 'darkroom'

let server: Server
let issuer: string
let gateway: TestGateway
let key: CryptoKey
let strangersKey: CryptoKey
beforeAll(async () => {
  const [ours, strangers] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')]
  key = ours.privateKey
  strangersKey = strangers.privateKey
  const jwk = { ...(await exportJWK(ours.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' }
  server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }))
    } else response.end(JSON.stringify({ keys: [jwk] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  gateway = await startTestGateway({ DARKROOM_GATEWAY_OIDC_ISSUER: issuer }, { rootKey: 'r'.repeat(64) })
})
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  server.closeAllConnections()
  server.close()
})

interface TokenOptions {
  readonly claims?: Record<string, unknown>
  readonly audience?: string
  readonly issuedBy?: string
  readonly expires?: string
  readonly signedWith?: CryptoKey
}

async function token({ claims, audience, issuedBy, expires, signedWith }: TokenOptions = {}): Promise<string> {
  return new SignJWT({ tenant: 'acme', scope: 'openid darkroom:read', ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setSubject('somebody')
    .setIssuer(issuedBy ?? issuer)
    .setAudience(audience ?? AUDIENCE)
    .setExpirationTime(expires ?? '5m')
    .sign(signedWith ?? key)
}

async function ask(bearer: string): Promise<{ status: number } & Record<string, unknown>> {
  const response = await fetch(`${gateway.url}/api/v1/me`, { headers: { authorization: `Bearer ${bearer}` } })
  return { ...((await response.json()) as object), status: response.status }
}

test('a token of the provider says whose request it is and what it may do', async () => {
  expect(await ask(await token())).toMatchObject({
    status: 200,
    tenant: 'acme',
    subject: 'oidc:somebody',
    scopes: ['read'],
  })
})

test.each<[string, TokenOptions, number]>([
  ['for another audience', { audience: 'billing' }, 401],
  ['of another issuer', { issuedBy: 'https://evil.example' }, 401],
  ['that has expired', { expires: '-1m' }, 401],
  ['that a stranger signed', {}, 401],
  ['without a tenant', { claims: { tenant: undefined } }, 403],
  ['whose tenant is a path', { claims: { tenant: '../acme' } }, 403],
  ['without a scope of the farm', { claims: { scope: 'openid' } }, 403],
])('a token %s is refused', async (name, options, status) => {
  const signedWith = name.includes('stranger') ? strangersKey : key
  expect(await ask(await token({ ...options, signedWith }))).toMatchObject({ status })
})

test('an unsigned token, and one signed with the public key as a secret, are none', async () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: issuer, aud: AUDIENCE, tenant: 'acme', scope: 'darkroom:admin', exp: 9_999_999_999 }
  expect(await ask(`${part({ alg: 'none' })}.${part(claims)}.x`)).toMatchObject({ status: 401 })
  const shared = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'one' }).sign(Buffer.alloc(32, 1))
  expect(await ask(shared)).toMatchObject({ status: 401 })
})

test('root keys still work beside it', async () => {
  expect(await ask('r'.repeat(64))).toMatchObject({ status: 200, subject: 'root' })
})
