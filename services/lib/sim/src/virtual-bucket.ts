interface StoredObject {
  readonly body: string
  /** Whose conditional write it is, empty for another. */
  readonly writer: string
}

/** What a bucket holds. Every write is one instant; `onWrite` sees it as it happens. */
export class VirtualBucket {
  /** Whether `If-None-Match: *` counts: off in the tests that show that this is seen. */
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

  delete(key: string): void {
    this.#folders.get(folderOf(key))?.delete(key)
  }

  /** Keys that begin so, in byte order. */
  list(prefix: string): string[] {
    const folder = this.#folders.get(folderOf(prefix))
    const candidates =
      folder === undefined ? this.#folders.values().flatMap((objects) => objects.keys()) : folder.keys()
    return [...candidates].filter((key) => key.startsWith(prefix)).toSorted()
  }

  /** The "folders" right under a prefix that is a first part, each with its slash. */
  listPrefixes(prefix: string): string[] {
    const filled = this.#folders.entries().filter(([name, objects]) => name.startsWith(prefix) && objects.size > 0)
    return [...filled].map(([name]) => `${name}/`).toSorted()
  }
}

function folderOf(key: string): string {
  const first = key.indexOf('/')
  const second = key.indexOf('/', first + 1)
  return second === -1 ? key : key.slice(0, second)
}
