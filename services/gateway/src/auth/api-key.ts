import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Scope } from './caller.ts'

/** api-keys/ID.json: a key without its secret. Overwritten when it is revoked or given an end. */
export interface ApiKeyDocument {
  readonly id: string
  /** What its owner calls it. */
  readonly name: string
  readonly tenant: string
  readonly scopes: readonly Scope[]
  /** Hex. The secret has 256 random bits, so that a plain hash tells nothing of it. */
  readonly sha256: string
  readonly createdAt: string
  /** From then on it is refused; null: never. Revoking sets it to now. */
  readonly expiresAt: string | null
}

const ID_BYTES = 8
const SECRET_BYTES = 32
const API_KEY = /^dk_([0-9a-f]{16})_([0-9a-f]{64})$/

/** A new key's id, and the text that its owner is shown once. */
export function createApiKey(): { readonly id: string; readonly key: string; readonly sha256: string } {
  const id = randomBytes(ID_BYTES).toString('hex')
  const key = `dk_${id}_${randomBytes(SECRET_BYTES).toString('hex')}`
  return { id, key, sha256: sha256Hex(key) }
}

/** The id that a key says it has; null for what is no key of ours. */
export function apiKeyId(key: string): string | null {
  return API_KEY.exec(key)?.[1] ?? null
}

/** In the time that it takes whatever the key is. */
export function isKeyOf(document: ApiKeyDocument, key: string): boolean {
  return isSame(document.sha256, sha256Hex(key))
}

export function isExpired({ expiresAt }: ApiKeyDocument, now: Date): boolean {
  return expiresAt !== null && Date.parse(expiresAt) <= now.getTime()
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function isSame(hexA: string, hexB: string): boolean {
  const [a, b] = [Buffer.from(hexA, 'hex'), Buffer.from(hexB, 'hex')]
  return a.length === b.length && timingSafeEqual(a, b)
}
