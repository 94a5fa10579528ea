import { DarkroomError } from '@darkroom/chassis'
import type { FastifyRequest } from 'fastify'

/**
 * What a caller may do: `read` sees its tenant's batches and files, `write` makes and changes them, `admin` does both for every
 * tenant and sees the farm itself: workers, keys, ledger, audit.
 */
export const SCOPES = ['read', 'write', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

/** What a route asks of its caller; `public` asks nothing, not even who it is. */
export type RouteScope = Scope | 'public'

/** Whose request it is. */
export interface Caller {
  readonly tenant: string
  /** For the audit log: `key:ID`, `root`, `oidc:SUBJECT`, or `anyone` at an open gateway. */
  readonly subject: string
  readonly scopes: ReadonlySet<Scope>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the authentication before any route runs; null on public routes. */
    caller: Caller | null
  }
  interface FastifyContextConfig {
    /** Who may call the route. A route without one is a mistake that stops the gateway at its start. */
    scope?: RouteScope
  }
}

/** @throws Error on a public route: a mistake of ours */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw new Error(`${request.routeOptions.url} is public and yet asks who calls`)
  return request.caller
}

export function isAllowed({ scopes }: Caller, scope: Scope): boolean {
  return scopes.has('admin') || scopes.has(scope)
}

/** Whether a caller may know that something of this tenant exists. */
export function maySee({ tenant, scopes }: Caller, owner: string): boolean {
  return tenant === owner || scopes.has('admin')
}

/** @throws DarkroomError FORBIDDEN */
export function assertAllowed(caller: Caller, scope: Scope): void {
  if (isAllowed(caller, scope)) return
  throw new DarkroomError(
    'FORBIDDEN',
    `this takes the scope ${scope}, and this key has ${[...caller.scopes].join(', ')}: ask the operator for another key`,
  )
}
