import { DarkroomError } from '../errors.ts'

/** What a certificate makes of its holder: the URI spiffe://darkroom/ROLE among its subject's alternative names. */
export type Role = 'gateway' | 'coordinator' | 'worker' | 'cli'

/** The part of node:tls's PeerCertificate that tells who it is. */
export interface Certificate {
  readonly subject?: { readonly CN?: string | string[] }
  readonly subjectaltname?: string | undefined
}

const ROLE_URI = /^spiffe:\/\/darkroom\/([a-z]+)$/u
/** Node quotes a value that could be taken for several names, so that a name never ends within another. */
const ALTERNATIVE_NAME = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/gu

/** Null for a certificate that names no role, or more than one. */
export function roleOf(certificate: Certificate): string | null {
  const roles = [...(certificate.subjectaltname ?? '').matchAll(ALTERNATIVE_NAME)]
    .filter(([, kind]) => kind === 'URI')
    .map(([, , value]) => ROLE_URI.exec(value!)?.[1])
    .filter((role) => role !== undefined)
  return roles.length === 1 ? roles[0]! : null
}

/** @throws DarkroomError FORBIDDEN unless the caller's verified certificate has one of the roles */
export function checkCaller(certificate: Certificate | undefined, allowed: readonly Role[], method: string): void {
  const role = certificate === undefined ? null : roleOf(certificate)
  if (allowed.some((one) => one === role)) return
  const who = certificate === undefined ? 'no certificate' : described(certificate)
  throw new DarkroomError('FORBIDDEN', `${method} is for a certificate of ${uris(allowed)}; yours is ${who}`)
}

/** For a client that has verified chain and host name: that it is not merely some machine of the farm which answers. */
export function wrongServer(certificate: Certificate, wanted: Role): Error | undefined {
  if (roleOf(certificate) === wanted) return undefined
  return new Error(`the server's certificate is ${described(certificate)}; one of ${uris([wanted])} is wanted`)
}

function described(certificate: Certificate): string {
  const role = roleOf(certificate)
  const name = certificate.subject?.CN ?? 'nobody'
  return `that of ${String(name)}, ${role === null ? 'of no role' : `of the role ${role}`}`
}

function uris(roles: readonly Role[]): string {
  return roles.map((role) => `spiffe://darkroom/${role}`).join(' or ')
}
