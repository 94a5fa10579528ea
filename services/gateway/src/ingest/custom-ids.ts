import { randomBytes } from 'node:crypto'

const FIRST_SLOTS = 1024
const MAX_LOAD = 0.75

/**
 * The custom ids of one batch as 64-bit hashes in an open-addressing table: 8 bytes a slot, so at most 22 bytes an id
 * (16 MiB for a million) however long the ids are. Two different ids of a million collide with a chance below 3e-8;
 * the hash is salted for each batch, so nobody can prepare such a pair and a second try of the batch passes.
 */
export class CustomIdSet {
  readonly #salt = randomBytes(4).readUInt32LE()
  #slots = new Uint32Array(FIRST_SLOTS * 2)
  #mask = FIRST_SLOTS - 1
  #size = 0

  /** Whether the id is new. */
  add(id: string): boolean {
    if (this.#size >= (this.#mask + 1) * MAX_LOAD) this.#grow()
    let low = this.#salt ^ 0xdeadbeef
    let high = this.#salt ^ 0x41c6ce57
    for (let i = 0; i < id.length; i++) {
      const unit = id.charCodeAt(i)
      low = Math.imul(low ^ unit, 0x85ebca77)
      high = Math.imul(high ^ unit, 0xc2b2ae3d)
      low ^= high >>> 13
      high ^= low >>> 16
    }
    low = Math.imul(low ^ (low >>> 16), 0x7feb352d) ^ Math.imul(high ^ (high >>> 15), 0x846ca68b)
    high = Math.imul(high ^ (high >>> 16), 0x7feb352d) ^ Math.imul(low ^ (low >>> 15), 0x846ca68b)
    // The pair 0, 0 marks a free slot.
    return this.#insert(low >>> 0, high === 0 ? 1 : high >>> 0)
  }

  #insert(low: number, high: number): boolean {
    const slots = this.#slots
    for (let slot = low & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * 2
      if (slots[at + 1] === 0) {
        slots[at] = low
        slots[at + 1] = high
        this.#size++
        return true
      }
      if (slots[at] === low && slots[at + 1] === high) return false
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Uint32Array(old.length * 2)
    this.#mask = this.#slots.length / 2 - 1
    this.#size = 0
    for (let at = 0; at < old.length; at += 2) if (old[at + 1] !== 0) this.#insert(old[at]!, old[at + 1]!)
  }
}
