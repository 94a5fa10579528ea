const MIN_INTERVAL_MS = 100

/** Wakes whoever watches a batch, at most ten times a second each. */
export class Watchers {
  readonly #waiting = new Map<string, Set<() => void>>()

  changed(batchId: string): void {
    for (const wake of this.#waiting.get(batchId) ?? []) wake()
  }

  allChanged(): void {
    for (const batchId of this.#waiting.keys()) this.changed(batchId)
  }

  /** Yields at once, then after each change, until the signal. Changes in between are one. */
  async *watch(batchId: string, signal: AbortSignal): AsyncGenerator<void> {
    let hasChanged = true
    let wake = (): void => {}
    const mark = (): void => {
      hasChanged = true
      wake()
    }
    const set = this.#waiting.get(batchId) ?? new Set()
    this.#waiting.set(batchId, set.add(mark))
    signal.addEventListener('abort', mark)
    try {
      while (!signal.aborted) {
        if (!hasChanged) await new Promise<void>((resolve) => (wake = resolve))
        if (signal.aborted) return
        hasChanged = false
        yield
        await new Promise((resolve) => setTimeout(resolve, MIN_INTERVAL_MS))
      }
    } finally {
      signal.removeEventListener('abort', mark)
      set.delete(mark)
      if (set.size === 0) this.#waiting.delete(batchId)
    }
  }
}
