interface Running<V> {
  readonly now: Promise<V>
  next: Promise<V> | null
}

/**
 * Calls that many make at the same time, each answered once for all who ask for it: whoever asks while an answer is on its way
 * shares the next, so that nobody is told what was so before he asked.
 */
export class SharedCalls<V> {
  readonly #call: (key: string) => Promise<V>
  readonly #running = new Map<string, Running<V>>()

  constructor(call: (key: string) => Promise<V>) {
    this.#call = call
  }

  /** Rejects as the call does, for all who share it. */
  ask(key: string): Promise<V> {
    const running = this.#running.get(key)
    if (running === undefined) return this.#start(key)
    running.next ??= running.now.catch(() => {}).then(() => this.#start(key))
    return running.next
  }

  #start(key: string): Promise<V> {
    const now = this.#call(key)
    const started: Running<V> = { now, next: null }
    this.#running.set(key, started)
    const end = (): void => {
      if (started.next === null) this.#running.delete(key)
    }
    now.then(end, end)
    return now
  }
}
