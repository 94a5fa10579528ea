import { DarkroomError } from '@darkroom/chassis'
import type { FastifyRequest, RouteOptions } from 'fastify'
import type { App } from '../http/app.ts'
import type { ApiKeys } from './api-keys.ts'
import { assertAllowed, SCOPES } from './caller.ts'
import type { Caller } from './caller.ts'
import type { IdentityProvider } from './identity-provider.ts'
import type { RootKeys } from './root-keys.ts'

/** Of whoever asks at an open gateway, and of the root keys. */
const DEFAULT_TENANT = 'default'
const ALL = new Set(SCOPES)
const ANYONE: Caller = { tenant: DEFAULT_TENANT, subject: 'anyone', scopes: ALL }
const ROOT: Caller = { tenant: DEFAULT_TENANT, subject: 'root', scopes: ALL }

/** Where callers come from. An open gateway takes everybody for the operator. */
export interface Credentials {
  readonly isOpen: boolean
  readonly apiKeys: ApiKeys
  readonly rootKeys: RootKeys | null
  readonly identityProvider: IdentityProvider | null
}

/**
 * Finds out who calls before a route runs or a byte of the body is read, and holds it against the route's scope. A route that
 * names no scope lets no gateway start.
 */
export function authenticate(app: App, credentials: Credentials): void {
  app.decorateRequest('caller', null)
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onReady', async () => {
    for (const { method, url, config } of routes)
      if (config?.scope === undefined) throw new Error(`${String(method)} ${url} names no scope`)
  })
  app.addHook('onRequest', async (request) => {
    const { scope } = request.routeOptions.config
    // Without a scope it is no route at all, and answered with 404.
    if (scope === undefined || scope === 'public') return
    request.caller = await identify(request, credentials)
    assertAllowed(request.caller, scope)
  })
}

/** @throws DarkroomError UNAUTHENTICATED, STORE_UNAVAILABLE */
export async function identify(request: FastifyRequest, credentials: Credentials): Promise<Caller> {
  if (credentials.isOpen) return ANYONE
  const { authorization } = request.headers
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) {
    throw new DarkroomError(
      'UNAUTHENTICATED',
      authorization === undefined
        ? 'this gateway takes a key: send it as Authorization: Bearer dk_…'
        : 'Authorization is not understood: want Bearer and a key',
    )
  }
  const now = new Date()
  const { rootKeys, apiKeys, identityProvider } = credentials
  if (rootKeys?.has(token, now.getTime()) === true) return ROOT
  const caller = (await apiKeys.callerOf(token, now)) ?? (await identityProvider?.callerOf(token)) ?? null
  if (caller === null) throw new DarkroomError('UNAUTHENTICATED', 'the key is not known here, or has ended')
  return caller
}
