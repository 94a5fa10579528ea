import { setTimeout as delay } from 'node:timers/promises'

/** What goes wrong on purpose. Rates are probabilities per request. */
export interface FaultSettings {
  /** Answer 503 SlowDown. */
  slowDownRate: number
  /** Break the connection without an answer, before the request is done. */
  breakBeforeRate: number
  /** Break the connection after the request was carried out: the writer cannot know. */
  breakAfterRate: number
  latencyMs: number
}

/** Switchable faults, all off at first, and how many requests of each kind came. */
export class Faults {
  settings: FaultSettings = { slowDownRate: 0, breakBeforeRate: 0, breakAfterRate: 0, latencyMs: 0 }
  readonly requests = new Map<string, number>()

  count(operation: string): void {
    this.requests.set(operation, (this.requests.get(operation) ?? 0) + 1)
  }

  async delay(): Promise<void> {
    if (this.settings.latencyMs > 0) await delay(this.settings.latencyMs)
  }

  before(): 'slow-down' | 'break' | null {
    if (Math.random() < this.settings.slowDownRate) return 'slow-down'
    return Math.random() < this.settings.breakBeforeRate ? 'break' : null
  }

  breaksAfter(): boolean {
    return Math.random() < this.settings.breakAfterRate
  }
}
