/** UTF-8 byte order, as S3 lists keys. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** Values by key, and the keys in order. */
export class KeyIndex<T> {
  readonly #values = new Map<string, T>()
  readonly #sorted: string[] = []

  get(key: string): T | undefined {
    return this.#values.get(key)
  }

  set(key: string, value: T): void {
    if (!this.#values.has(key)) this.#sorted.splice(this.#position(key), 0, key)
    this.#values.set(key, value)
  }

  delete(key: string): boolean {
    if (!this.#values.delete(key)) return false
    this.#sorted.splice(this.#position(key), 1)
    return true
  }

  /** Keys from the first that is not before `key`. */
  *from(key: string): Generator<string> {
    for (let i = this.#position(key); i < this.#sorted.length; i++) yield this.#sorted[i]!
  }

  /** Where the key is or would be. */
  #position(key: string): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compare(this.#sorted[middle]!, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
