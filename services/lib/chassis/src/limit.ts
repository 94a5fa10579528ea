/** Runs at most `size` of the given tasks at once; the others wait in order, those that are to be first before all others. */
export class Limit {
  #free: number
  readonly #first: (() => void)[] = []
  readonly #queue: (() => void)[] = []

  constructor(size: number) {
    this.#free = size
  }

  async run<T>(task: () => Promise<T>, isFirst = false): Promise<T> {
    const queue = isFirst ? this.#first : this.#queue
    if (this.#free === 0) await new Promise<void>((resolve) => queue.push(resolve))
    else this.#free--
    try {
      return await task()
    } finally {
      const next = this.#first.shift() ?? this.#queue.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
