interface Entry {
  readonly atMs: number
  readonly order: number
  readonly action: () => void
}

/** The one clock of a simulation and what is to happen by it, in order; at one instant in the order of asking. */
export class VirtualTime {
  nowMs = 0
  /** What has happened so far. */
  events = 0
  readonly #heap: Entry[] = []
  #order = 0

  after(delayMs: number, action: () => void): void {
    this.#push({ atMs: this.nowMs + delayMs, order: this.#order++, action })
  }

  /**
   * Lets things happen, each with all that follows from it at the same instant, until `isOver` or nothing is left. Promises
   * settle before the next: everything in a simulation waits for this clock alone.
   */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const entry = this.#pop()
      if (entry === undefined) return
      this.nowMs = entry.atMs
      this.events++
      entry.action()
      await new Promise(setImmediate)
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let place = heap.push(entry) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (isBefore(heap[parent]!, entry)) break
      heap[place] = heap[parent]!
      place = parent
    }
    heap[place] = entry
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || last === first) return first
    let place = 0
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = last
    return first
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
