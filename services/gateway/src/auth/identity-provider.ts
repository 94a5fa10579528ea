import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { DarkroomError, isTenantName } from '@darkroom/chassis'
import { SCOPES } from './caller.ts'
import type { Caller } from './caller.ts'

export interface IdentityProviderOptions {
  /** Issuer URL: its tokens' `iss`, under which /.well-known/openid-configuration lies. */
  readonly issuer: string
  /** What a token's `aud` must name. */
  readonly audience: string
  /** The claim that says whose request it is. */
  readonly tenantClaim: string
}

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA']
const SCOPE_PREFIX = 'darkroom:'
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** Callers with OpenID Connect bearer tokens: a claim names the tenant, and `scope` has words such as darkroom:read. */
export class IdentityProvider {
  readonly #options: IdentityProviderOptions
  #keySet: Promise<ReturnType<typeof createRemoteJWKSet>> | null = null

  constructor(options: IdentityProviderOptions) {
    this.#options = options
  }

  /**
   * Null for what is no token, or one that is not valid here: expired, of another issuer, for another audience, unsigned.
   * @throws DarkroomError FORBIDDEN for a valid token without a tenant or a scope; UNAUTHENTICATED while the issuer is away
   */
  async callerOf(token: string): Promise<Caller | null> {
    if (!JWT.test(token)) return null
    const { issuer, audience, tenantClaim } = this.#options
    const keySet = await this.#keys()
    try {
      const { payload } = await jwtVerify(token, keySet, { issuer, audience, algorithms: ALGORITHMS })
      const tenant = payload[tenantClaim]
      const granted = typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : []
      const scopes = SCOPES.filter((scope) => granted.includes(SCOPE_PREFIX + scope))
      if (typeof tenant !== 'string' || !isTenantName(tenant) || scopes.length === 0) {
        throw new DarkroomError(
          'FORBIDDEN',
          `the token names no tenant in ${tenantClaim}, or none of ${SCOPES.map((scope) => SCOPE_PREFIX + scope).join(', ')} in scope`,
        )
      }
      return { tenant, subject: `oidc:${payload.sub ?? 'nobody'}`, scopes: new Set(scopes) }
    } catch (reason) {
      if (reason instanceof errors.JOSEError) return null
      throw reason
    }
  }

  #keys(): ReturnType<IdentityProvider['discover']> {
    this.#keySet ??= this.discover().catch((reason: unknown) => {
      this.#keySet = null
      throw new DarkroomError('UNAUTHENTICATED', 'the identity provider cannot be asked now: try again', {
        cause: reason,
      })
    })
    return this.#keySet
  }

  private async discover() {
    const { issuer } = this.#options
    const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
      signal: AbortSignal.timeout(5_000),
    })
    if (!response.ok) throw new Error(`${issuer} answers ${response.status}`)
    const { jwks_uri: uri } = (await response.json()) as { jwks_uri: string }
    return createRemoteJWKSet(new URL(uri))
  }
}
