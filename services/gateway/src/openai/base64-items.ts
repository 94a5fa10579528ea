const SMALL_BYTES = 64

/**
 * Which items of a batch want their pictures in the output file as base64, and not as addresses: a bit for each, since a batch
 * has millions. It follows from the input file alone, so that whoever checks that writes the same.
 */
export class Base64Items {
  #bits: Uint8Array

  constructor(bits: Uint8Array = new Uint8Array()) {
    this.#bits = bits
  }

  add(index: number): void {
    const at = index >> 3
    if (at >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(SMALL_BYTES, 2 * at))
      larger.set(this.#bits)
      this.#bits = larger
    }
    this.#bits[at]! |= 1 << (index & 7)
  }

  has(index: number): boolean {
    return ((this.#bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  /** What it is made of again; null where no item wants it. */
  get bits(): Uint8Array | null {
    return this.#bits.length === 0 ? null : this.#bits
  }
}
