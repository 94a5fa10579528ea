import { randomFillSync } from 'node:crypto'

/** Random 32-bit seeds, drawn from the system in blocks. */
export class RandomSeeds {
  readonly #block = new Uint32Array(1024)
  #next = this.#block.length

  next(): number {
    if (this.#next === this.#block.length) {
      randomFillSync(this.#block)
      this.#next = 0
    }
    return this.#block[this.#next++]!
  }
}
