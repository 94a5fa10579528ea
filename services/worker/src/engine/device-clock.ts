/** What became of a device's time so far; what is neither rendering nor loading of the wall time was idle. */
export interface DeviceTime {
  readonly wallSeconds: number
  /** Some call computed. */
  readonly renderSeconds: number
  /** None did, and a checkpoint was being fetched or loaded. */
  readonly loadSeconds: number
}

// Places in the memory, which is of floats, and of whole numbers behind them.
const BEGAN = 0
const LAST = 1
const RENDERED = 2
const LOADED = 3
const SHARE = 4
const FLOATS = 5
const LOCK = 0
const CALLS = 1
const LOADS = 2
const INTEGERS = 3
const LOOK_AGAIN_MS = 1

/**
 * Tells what a device's time goes into, in memory that all threads of a worker share. Each moment counts once, whatever is under way
 * in it. Calls of two checkpoints may be at the same time, in threads of their own: each is said to take its share of that, so that
 * the device seconds of all calls sum to the seconds in which the device rendered, and nobody pays for the same second twice.
 */
export class DeviceClock {
  readonly memory: SharedArrayBuffer
  readonly #seconds: Float64Array
  readonly #counts: Int32Array

  /** @param memory of the same clock in another thread; without it the clock begins now */
  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(8 * FLOATS + 4 * INTEGERS)
    this.#seconds = new Float64Array(this.memory, 0, FLOATS)
    this.#counts = new Int32Array(this.memory, 8 * FLOATS, INTEGERS)
    if (memory === undefined) this.#seconds[BEGAN] = this.#seconds[LAST] = nowSeconds()
  }

  /** Of the device until now, calls and loads that are under way included. */
  read(): DeviceTime {
    return this.#change(() => ({
      wallSeconds: this.#seconds[LAST]! - this.#seconds[BEGAN]!,
      renderSeconds: this.#seconds[RENDERED]!,
      loadSeconds: this.#seconds[LOADED]!,
    }))
  }

  /** Makes a call of the device. @returns with the seconds that it took, and those of the device that are its share */
  async call<T>(make: () => Promise<T>): Promise<{ value: T; seconds: number; deviceSeconds: number }> {
    const count = (by: number): readonly [seconds: number, share: number] =>
      this.#change(() => {
        this.#counts[CALLS]! += by
        return [this.#seconds[LAST]!, this.#seconds[SHARE]!]
      })
    const [began, shareBefore] = count(1)
    const value = await make().catch((reason: unknown) => {
      count(-1)
      throw reason
    })
    const [ended, share] = count(-1)
    return { value, seconds: ended - began, deviceSeconds: share - shareBefore }
  }

  /** Fetches and loads a checkpoint. */
  async load<T>(make: () => Promise<T>): Promise<T> {
    const count = (by: number): void => this.#change(() => void (this.#counts[LOADS]! += by))
    count(1)
    try {
      return await make()
    } finally {
      count(-1)
    }
  }

  /** Books the time since the last change as what it was, then changes what the time that follows is. */
  #change<T>(change: () => T): T {
    const seconds = this.#seconds
    const counts = this.#counts
    // A few instructions at a time hold it, and no thread ends amid them.
    while (Atomics.compareExchange(counts, LOCK, 0, 1) !== 0) Atomics.wait(counts, LOCK, 1, LOOK_AGAIN_MS)
    const now = nowSeconds()
    const passed = now - seconds[LAST]!
    seconds[LAST] = now
    if (counts[CALLS]! > 0) {
      seconds[RENDERED]! += passed
      seconds[SHARE]! += passed / counts[CALLS]!
    } else if (counts[LOADS]! > 0) seconds[LOADED]! += passed
    const changed = change()
    Atomics.store(counts, LOCK, 0)
    Atomics.notify(counts, LOCK)
    return changed
  }
}

/** The same in all threads, unlike `performance.now`, which begins with each. */
function nowSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9
}
