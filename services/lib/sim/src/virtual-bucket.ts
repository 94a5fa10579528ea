interface StoredObject {
  readonly body: string
  /** Whose conditional write it is, empty for another. */
  readonly writer: string
}

/** What a bucket holds. Every write is one instant; `onWrite` sees it as it happens. */
export class VirtualBucket {
  /** Whether `If-None-Match: *` and `If-Match` count: off in the tests that show that this is seen. */
  honoursConditions = true
  onWrite: (key: string, body: string, before: string | null) => void = () => {}
  /** Objects by the first two parts of their keys, `batches/ID`, then by key. */
  readonly #folders = new Map<string, Map<string, StoredObject>>()

  get(key: string): string | null {
    return this.#folders.get(folderOf(key))?.get(key)?.body ?? null
  }

  writerOf(key: string): string | null {
    return this.#folders.get(folderOf(key))?.get(key)?.writer ?? null
  }

  put(key: string, body: string, writer = ''): void {
    const folder = this.#folders.get(folderOf(key)) ?? new Map<string, StoredObject>()
    this.#folders.set(folderOf(key), folder)
    const before = folder.get(key)?.body ?? null
    folder.set(key, { body, writer })
    this.onWrite(key, body, before)
  }

  /** @returns whether nothing was there */
  putIfAbsent(key: string, body: string, writer: string): boolean {
    if (this.honoursConditions && this.get(key) !== null) return false
    this.put(key, body, writer)
    return true
  }

  /** @returns whether what is there is what was read before */
  putIfSame(key: string, body: string, before: string, writer: string): boolean {
    if (this.honoursConditions && this.get(key) !== before) return false
    this.put(key, body, writer)
    return true
  }

  delete(key: string): void {
    this.#folders.get(folderOf(key))?.delete(key)
  }

  /** Keys that begin so, in byte order. */
  list(prefix: string): string[] {
    const inFolder = this.#folders.get(prefix.split('/', 2).join('/'))?.keys() ?? []
    const isInFolder = prefix.split('/').length > 2
    const candidates = isInFolder ? inFolder : this.#folders.values().flatMap((objects) => objects.keys())
    return [...candidates].filter((key) => key.startsWith(prefix)).toSorted(inByteOrder)
  }
}

/** JavaScript's own order is by UTF-16 units. */
export function inByteOrder(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function folderOf(key: string): string {
  const first = key.indexOf('/')
  const second = key.indexOf('/', first + 1)
  return second === -1 ? key : key.slice(0, second)
}
