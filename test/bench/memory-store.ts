import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { createHash } from 'node:crypto'

type Body = Uint8Array | string
type Calls = Pick<
  ObjectStore,
  | 'putIfAbsent'
  | 'editJson'
  | 'put'
  | 'putStream'
  | 'get'
  | 'getJson'
  | 'getRange'
  | 'head'
  | 'delete'
  | 'deleteMany'
  | 'list'
  | 'listPrefixes'
  | 'namesIn'
>

/** A bucket in this process's memory, by the interface of chassis' ObjectStore: bytes in, bytes out, no network. */
export class MemoryStore implements Calls {
  readonly #objects = new Map<string, Buffer>()

  /** As what the coordinator takes: it calls nothing beyond `Calls`. */
  asObjectStore(): ObjectStore {
    return this as unknown as ObjectStore
  }

  async putIfAbsent(key: string, body: Body): Promise<'created' | 'exists'> {
    if (this.#objects.has(key)) return 'exists'
    this.#objects.set(key, Buffer.from(body))
    return 'created'
  }

  async editJson<T>(key: string, edit: (stored: T | null) => T | Promise<T>): Promise<T> {
    const before = this.#objects.get(key)
    const edited = await edit(before === undefined ? null : (JSON.parse(before.toString('utf8')) as T))
    if (this.#objects.get(key) !== before) return this.editJson(key, edit)
    this.#objects.set(key, Buffer.from(JSON.stringify(edited)))
    return edited
  }

  async put(key: string, body: Body): Promise<void> {
    this.#objects.set(key, Buffer.from(body))
  }

  async putStream(key: string, source: AsyncIterable<Uint8Array>): Promise<{ bytes: number; sha256: string }> {
    const body = Buffer.concat(await Array.fromAsync(source))
    this.#objects.set(key, body)
    return { bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') }
  }

  async get(key: string): Promise<Uint8Array | null> {
    return this.#objects.get(key) ?? null
  }

  async getJson<T>(key: string): Promise<T | null> {
    const body = this.#objects.get(key)
    return body === undefined ? null : (JSON.parse(body.toString('utf8')) as T)
  }

  async getRange(key: string, start: number, endInclusive: number): Promise<Uint8Array> {
    const body = this.#objects.get(key)
    if (body === undefined) throw new DarkroomError('NOT_FOUND', `no object ${key}`)
    return body.subarray(start, endInclusive + 1)
  }

  async head(key: string): Promise<{ size: number; etag: string } | null> {
    const body = this.#objects.get(key)
    return body === undefined ? null : { size: body.length, etag: '' }
  }

  async delete(key: string): Promise<void> {
    this.#objects.delete(key)
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#objects.delete(key)
  }

  async *list(prefix: string): AsyncIterable<{ key: string; size: number }> {
    const found = [...this.#objects].filter(([key]) => key.startsWith(prefix))
    for (const [key, { length }] of found.toSorted(([a], [b]) => (a < b ? -1 : 1))) yield { key, size: length }
  }

  async namesIn(prefix: string): Promise<ReadonlySet<string>> {
    const below = this.#objects.keys().filter((key) => key.startsWith(prefix))
    return new Set(below.map((key) => key.slice(0, key.indexOf('/', prefix.length) + 1 || key.length)))
  }

  async *listPrefixes(prefix: string): AsyncIterable<string> {
    const below = this.#objects.keys().filter((key) => key.startsWith(prefix) && key.indexOf('/', prefix.length) !== -1)
    yield* [...new Set(below.map((key) => key.slice(0, key.indexOf('/', prefix.length) + 1)))].toSorted()
  }
}
