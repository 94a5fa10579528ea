import { create } from '@bufbuild/protobuf'
import { dayOf, DeviceDaySchema } from '@darkroom/proto'
import type { DeviceDay } from '@darkroom/proto'
import type { DeviceClock, DeviceTime } from './engine/device-clock.ts'

export interface AccountParts {
  readonly clock: Pick<DeviceClock, 'read'>
  readonly events: { deviceTimePassed(time: DeviceTime): void }
  /** By the wall clock, which days are of. */
  readonly now?: () => Date
}

/** Whoever leads writes down the end of a day within this time, or it is forgotten with the next day's end. */
const DAYS_KEPT = 2
/** What passes over midnight is of the new day: no more than this. */
const BOOK_MS = 1_000

/** What the device's time went into, by days in UTC, since the worker's start: what a coordinator writes into the ledger. */
export class DeviceAccount implements Disposable {
  readonly #parts: AccountParts
  readonly #days = new Map<string, DeviceTime>()
  readonly #timer: NodeJS.Timeout
  #before: DeviceTime = { wallSeconds: 0, renderSeconds: 0, loadSeconds: 0 }

  constructor(parts: AccountParts) {
    this.#parts = parts
    this.#book()
    this.#timer = setInterval(() => this.#book(), BOOK_MS).unref()
  }

  /** Until now: the day before, where the worker was there, then today. */
  days(): DeviceDay[] {
    this.#book()
    return [...this.#days].map(([day, time]) => create(DeviceDaySchema, { day, ...time }))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #book(): void {
    const { clock, events, now = () => new Date() } = this.#parts
    const time = clock.read()
    const passed = combined(time, this.#before, -1)
    this.#before = time
    const day = dayOf(now())
    const known = this.#days.get(day)
    this.#days.set(day, known === undefined ? passed : combined(known, passed, 1))
    const [oldest] = this.#days.keys()
    if (this.#days.size > DAYS_KEPT) this.#days.delete(oldest!)
    events.deviceTimePassed(passed)
  }
}

function combined(a: DeviceTime, b: DeviceTime, sign: 1 | -1): DeviceTime {
  return {
    wallSeconds: a.wallSeconds + sign * b.wallSeconds,
    renderSeconds: a.renderSeconds + sign * b.renderSeconds,
    loadSeconds: a.loadSeconds + sign * b.loadSeconds,
  }
}
