import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { apiKeyId, createApiKey, isExpired, isKeyOf } from './api-key.ts'
import type { ApiKeyDocument } from './api-key.ts'
import type { Caller } from './caller.ts'

/** For so long a gateway goes by what it has read: a revoked key ends everywhere within it. */
const FRESH_MS = 5_000
/** Also bounds what guesses of ids can make us remember. */
const MAX_KEPT = 4_096
const MAX_LISTED = 1_000

/** The keys of the farm, in the bucket, so that any gateway knows them. */
export class ApiKeys {
  readonly #store: ObjectStore
  readonly #kept = new Map<string, { readonly document: Promise<ApiKeyDocument | null>; readonly readAtMs: number }>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** Who holds this key; null where nobody does, or not any more. @throws DarkroomError STORE_UNAVAILABLE */
  async callerOf(key: string, now: Date): Promise<Caller | null> {
    const id = apiKeyId(key)
    const document = id === null ? null : await this.#read(id, now.getTime())
    if (document === null || !isKeyOf(document, key) || isExpired(document, now)) return null
    return { tenant: document.tenant, subject: `key:${document.id}`, scopes: new Set(document.scopes) }
  }

  /** @returns the key itself too: nobody can read it later. @throws DarkroomError STORE_UNAVAILABLE */
  async create(
    request: Pick<ApiKeyDocument, 'name' | 'tenant' | 'scopes' | 'expiresAt'>,
    now: Date,
  ): Promise<{ readonly document: ApiKeyDocument; readonly key: string }> {
    const { id, key, sha256 } = createApiKey()
    const document = { id, ...request, sha256, createdAt: now.toISOString() }
    await this.#write(document)
    return { document, key }
  }

  /** Newest last. */
  async list(): Promise<readonly ApiKeyDocument[]> {
    const found: ApiKeyDocument[] = []
    for await (const { key } of this.#store.list(keys.apiKeys)) {
      const document = await this.#store.getJson<ApiKeyDocument>(key)
      if (document !== null) found.push(document)
      if (found.length === MAX_LISTED) break
    }
    return found.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
  }

  /** Sets when a key ends; one that has ended stays so. @throws DarkroomError NOT_FOUND, STORE_UNAVAILABLE */
  async expire(id: string, at: Date, now: Date): Promise<ApiKeyDocument> {
    const document = await this.get(id)
    if (isExpired(document, now)) return document
    const ended = { ...document, expiresAt: at.toISOString() }
    await this.#write(ended)
    return ended
  }

  /** @throws DarkroomError NOT_FOUND, STORE_UNAVAILABLE */
  async get(id: string): Promise<ApiKeyDocument> {
    const document = await this.#store.getJson<ApiKeyDocument>(keys.apiKey(id))
    if (document === null) throw new DarkroomError('NOT_FOUND', `no key ${id}: GET /api/v1/keys lists them`)
    return document
  }

  async #write(document: ApiKeyDocument): Promise<void> {
    await this.#store.put(keys.apiKey(document.id), JSON.stringify(document), { contentType: 'application/json' })
    this.#kept.delete(document.id)
  }

  #read(id: string, nowMs: number): Promise<ApiKeyDocument | null> {
    const kept = this.#kept.get(id)
    if (kept !== undefined && nowMs - kept.readAtMs < FRESH_MS) return kept.document
    const document = this.#store.getJson<ApiKeyDocument>(keys.apiKey(id))
    this.#kept.delete(id)
    this.#kept.set(id, { document, readAtMs: nowMs })
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    // A failure is nobody's answer but that of who asked.
    document.catch(() => this.#kept.delete(id))
    return document
  }
}
