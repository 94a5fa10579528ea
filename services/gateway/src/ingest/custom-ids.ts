import { randomBytes } from 'node:crypto'

const TABLES = 64
const FIRST_SLOTS = 16
const GROWTH = 1.25
const MAX_LOAD = 0.8
const TWO_32 = 2 ** 32

/**
 * The custom ids of one batch as 64-bit hashes in open-addressing tables: 8 bytes a slot and 10 to 13 bytes an id, however
 * long the ids are. There are many tables, so that one of them is small enough to grow without a pause or a peak of memory.
 * Two different ids of a million collide with a chance below 3e-8; the hash is salted for each batch, so nobody can prepare
 * such a pair, and a second try of the batch passes.
 */
export class CustomIdSet {
  readonly #salt = randomBytes(4).readUInt32LE()
  readonly #tables = Array.from({ length: TABLES }, () => new Uint32Array(FIRST_SLOTS * 2))
  readonly #sizes = new Uint32Array(TABLES)

  /** Whether the id is new. */
  add(id: string): boolean {
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
    const table = high & (TABLES - 1)
    // The pair 0, 0 marks a free slot.
    const isNew = insert(this.#tables[table]!, low >>> 0, high === 0 ? TABLES : high >>> 0)
    if (isNew && ++this.#sizes[table]! > (this.#tables[table]!.length / 2) * MAX_LOAD) this.#grow(table)
    return isNew
  }

  #grow(table: number): void {
    const old = this.#tables[table]!
    const larger = new Uint32Array(Math.ceil((old.length / 2) * GROWTH) * 2)
    for (let at = 0; at < old.length; at += 2) if (old[at + 1] !== 0) insert(larger, old[at]!, old[at + 1]!)
    this.#tables[table] = larger
    free(old)
  }
}

/** Gives the memory back now: the collector, to which an array weighs nothing, would let tens of megabytes wait. */
function free(array: Uint32Array<ArrayBuffer>): void {
  array.buffer.transfer(0)
}

function insert(slots: Uint32Array, low: number, high: number): boolean {
  for (let at = Math.floor((low / TWO_32) * (slots.length / 2)) * 2; ; at = at + 2 === slots.length ? 0 : at + 2) {
    if (slots[at + 1] === 0) {
      slots[at] = low
      slots[at + 1] = high
      return true
    }
    if (slots[at] === low && slots[at + 1] === high) return false
  }
}
