import { setTimeout as delay } from 'node:timers/promises'

/** What a term of leadership knows of time: handed in, so that a simulation can run it on a clock of its own. */
export interface Clock {
  /** Milliseconds since the epoch, for decisions. */
  nowMs(): number
  /** For documents. */
  date(): Date
  /** Waits, at most until the signal; never rejects. */
  delay(ms: number, signal: AbortSignal): Promise<void>
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  date: () => new Date(),
  delay: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
}
