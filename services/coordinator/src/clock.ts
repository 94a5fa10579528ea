import { setTimeout as delay } from 'node:timers/promises'

/** What a term of leadership knows of time: handed in, so that a simulation can run it on a clock of its own. */
export interface Clock {
  /**
   * For decisions. Whole milliseconds since the epoch as of the process's start, and from there on evenly: no correction of the
   * wall clock makes a lease run out, or wait for an hour.
   */
  nowMs(): number
  /** The wall clock, for documents. */
  date(): Date
  /** Waits, at most until the signal; never rejects. */
  delay(ms: number, signal: AbortSignal): Promise<void>
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Math.floor(performance.timeOrigin + performance.now()),
  date: () => new Date(),
  delay: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
}
