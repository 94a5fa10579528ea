import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { createHash } from 'node:crypto'
import type { Random } from './random.ts'
import { inByteOrder } from './virtual-bucket.ts'
import type { VirtualBucket } from './virtual-bucket.ts'
import type { VirtualProcess } from './virtual-process.ts'

/** How the object store fares; all of it off at first. Rates are probabilities per request. */
export interface StoreWeather {
  latencyMs: number
  isDown: boolean
  /** Requests that fail for good, retries and all, and do nothing. */
  errorRate: number
  /** Writes that are carried out, and whose writer is told of a failure. */
  lostAnswerRate: number
}

export function fairStoreWeather(): StoreWeather {
  return { latencyMs: 20, isDown: false, errorRate: 0, lostAnswerRate: 0 }
}

/** What the client's own retries take until it gives up. */
const GIVE_UP_MS = 3_000

const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

type Body = Uint8Array | string
type Calls = Omit<ObjectStore, 'ensureBucket' | 'checkBucket' | 'getStream' | 'presignGet'>

/** One process's client of the bucket, with the answers and errors of chassis' ObjectStore. */
export class VirtualStore implements Calls {
  readonly bucket = 'virtual'
  readonly #bucket: VirtualBucket
  readonly #process: VirtualProcess
  readonly #weather: StoreWeather
  readonly #random: Random

  constructor(bucket: VirtualBucket, process: VirtualProcess, weather: StoreWeather, random: Random) {
    this.#bucket = bucket
    this.#process = process
    this.#weather = weather
    this.#random = random
  }

  /** As what the coordinator takes: it calls nothing beyond `Calls`. */
  asObjectStore(): ObjectStore {
    return this as unknown as ObjectStore
  }

  async putIfAbsent(key: string, body: Body): Promise<'created' | 'exists'> {
    return (await this.#putIfSame(key, textOf(body), null)) ? 'created' : 'exists'
  }

  async editJson<T>(key: string, edit: (stored: T | null) => T | Promise<T>): Promise<T> {
    for (;;) {
      const before = await this.#read(() => this.#bucket.get(key))
      const edited = await edit(before === null ? null : (JSON.parse(before) as T))
      if (await this.#putIfSame(key, JSON.stringify(edited), before)) return edited
    }
  }

  /** @param before what is to be there, null for nothing */
  #putIfSame(key: string, body: string, before: string | null): Promise<boolean> {
    const writer = String(this.#random.next())
    return this.#write(() => {
      const isDone =
        before === null
          ? this.#bucket.putIfAbsent(key, body, writer)
          : this.#bucket.putIfSame(key, body, before, writer)
      // A retry whose first answer was lost finds its own write.
      return isDone || this.#bucket.writerOf(key) === writer
    })
  }

  put(key: string, body: Body): Promise<void> {
    return this.#write(() => this.#bucket.put(key, textOf(body)))
  }

  async putStream(key: string, source: AsyncIterable<Uint8Array>): Promise<{ bytes: number; sha256: string }> {
    const body = Buffer.concat(await Array.fromAsync(source))
    await this.put(key, body)
    return { bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') }
  }

  async get(key: string): Promise<Uint8Array | null> {
    const body = await this.#read(() => this.#bucket.get(key))
    return body === null ? null : new Uint8Array(Buffer.from(body))
  }

  async getJson<T>(key: string): Promise<T | null> {
    const body = await this.#read(() => this.#bucket.get(key))
    return body === null ? null : (JSON.parse(body) as T)
  }

  async getRange(key: string, start: number, endInclusive: number): Promise<Uint8Array> {
    const body = await this.get(key)
    if (body === null) throw new DarkroomError('NOT_FOUND', `no object ${key}`)
    if (start >= body.length) throw new DarkroomError('STORE_UNAVAILABLE', `${key} ends before byte ${start}`)
    return body.subarray(start, endInclusive + 1)
  }

  head(key: string): Promise<{ size: number; etag: string } | null> {
    return this.#read(() => {
      const body = this.#bucket.get(key)
      return body === null ? null : { size: Buffer.byteLength(body), etag: '' }
    })
  }

  delete(key: string): Promise<void> {
    return this.#write(() => this.#bucket.delete(key))
  }

  deleteMany(keys: readonly string[]): Promise<void> {
    return this.#write(() => keys.forEach((key) => this.#bucket.delete(key)))
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncIterable<{ key: string; size: number }> {
    const describe = (key: string): { key: string; size: number } => ({
      key,
      size: Buffer.byteLength(this.#bucket.get(key)!),
    })
    yield* await this.#read(() => this.#listAfter(prefix, options.startAfter).map(describe))
  }

  async *listPrefixes(prefix: string, options: { startAfter?: string } = {}): AsyncIterable<string> {
    const folders = await this.#read(() =>
      this.#listAfter(prefix, options.startAfter).flatMap((key) => {
        const end = key.indexOf('/', prefix.length)
        return end === -1 ? [] : [key.slice(0, end + 1)]
      }),
    )
    yield* new Set(folders)
  }

  namesIn(prefix: string): Promise<ReadonlySet<string>> {
    return this.#read(() => {
      const keys = this.#bucket.list(prefix)
      return new Set(keys.map((key) => key.slice(0, key.indexOf('/', prefix.length) + 1 || key.length)))
    })
  }

  [Symbol.dispose](): void {}

  #listAfter(prefix: string, startAfter: string | undefined): string[] {
    const keys = this.#bucket.list(prefix)
    return startAfter === undefined ? keys : keys.filter((key) => inByteOrder(key, startAfter) > 0)
  }

  #read<T>(serve: () => T): Promise<T> {
    return this.#request(serve, false)
  }

  #write<T>(serve: () => T): Promise<T> {
    return this.#request(serve, true)
  }

  #request<T>(serve: () => T, isWrite: boolean): Promise<T> {
    const { latencyMs, isDown, errorRate, lostAnswerRate } = this.#weather
    const isLost = isWrite && this.#random.chance(lostAnswerRate)
    const fails = isDown || this.#random.chance(errorRate)
    const tookMs = this.#random.between(0.5, 1.5) * latencyMs
    return this.#process.call(fails || isLost ? GIVE_UP_MS : tookMs, () => {
      if (fails) throw new DarkroomError('STORE_UNAVAILABLE', 'the virtual object store is away')
      const answer = serve()
      // Half of the retries get through after all.
      if (isLost && this.#random.chance(0.5)) throw new DarkroomError('STORE_UNAVAILABLE', 'the answer was lost')
      return answer
    })
  }
}

/** All that a farm's documents are; other bytes would come back changed, and are refused. */
function textOf(body: Body): string {
  return typeof body === 'string' ? body : TEXT.decode(body)
}
