/** A binary heap whose members can be found again: first in O(1), any change in O(log n). */
export class Heap<T> {
  readonly #isBefore: (a: T, b: T) => boolean
  readonly #items: T[] = []
  readonly #places = new Map<T, number>()

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore
  }

  get size(): number {
    return this.#items.length
  }

  get first(): T | undefined {
    return this.#items[0]
  }

  has(item: T): boolean {
    return this.#places.has(item)
  }

  /** Adds an item, or finds a member's new place: to be called after each change of what it is ordered by. */
  put(item: T): void {
    const place = this.#places.get(item) ?? this.#items.length
    if (place === this.#items.length) this.#set(place, item)
    this.#sink(this.#rise(place))
  }

  delete(item: T): void {
    const place = this.#places.get(item)
    if (place === undefined) return
    const last = this.#items.pop()!
    this.#places.delete(item)
    if (last === item) return
    this.#set(place, last)
    this.#sink(this.#rise(place))
  }

  /** All, the first first: each is looked for only when it is asked for. The heap is not to change meanwhile. */
  *inOrder(): Generator<T> {
    if (this.size === 0) return
    yield this.#items[0]!
    const next = new Heap<number>((a, b) => this.#isBefore(this.#items[a]!, this.#items[b]!))
    for (let place: number | undefined = 0; place !== undefined; place = next.first) {
      if (place > 0) yield this.#items[place]!
      next.delete(place)
      for (const below of [2 * place + 1, 2 * place + 2]) if (below < this.size) next.put(below)
    }
  }

  #set(place: number, item: T): void {
    this.#items[place] = item
    this.#places.set(item, place)
  }

  #rise(from: number): number {
    const item = this.#items[from]!
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      if (!this.#isBefore(item, this.#items[above]!)) break
      this.#set(place, this.#items[above]!)
      place = above
    }
    if (place !== from) this.#set(place, item)
    return place
  }

  #sink(from: number): void {
    const item = this.#items[from]!
    let place = from
    for (;;) {
      let below = 2 * place + 1
      if (below >= this.#items.length) break
      if (below + 1 < this.#items.length && this.#isBefore(this.#items[below + 1]!, this.#items[below]!)) below++
      if (!this.#isBefore(this.#items[below]!, item)) break
      this.#set(place, this.#items[below]!)
      place = below
    }
    if (place !== from) this.#set(place, item)
  }
}
