import type { Clock } from './clock.ts'
import type { CoordinatorEvents } from './events.ts'

/** How many effects of each kind run at once; the others wait their turn. */
const AT_ONCE = {
  planning: 4,
  dispatching: 64,
  withdrawing: 64,
  recording: 32,
  saving: 4,
  auditing: 4,
  finalizing: 2,
} as const

export type EffectKind = keyof typeof AT_ONCE

const RETRY_MIN_MS = 200
const RETRY_MAX_MS = 10_000

/** Carries effects out, each until it works or the signal ends them all; whatever an effect writes may be written twice. */
export class Effects {
  readonly #signal: AbortSignal
  readonly #events: CoordinatorEvents
  readonly #clock: Clock
  readonly #running = new Map<EffectKind, number>()
  readonly #waiting = new Map<EffectKind, (() => void)[]>()

  constructor(events: CoordinatorEvents, clock: Clock, signal: AbortSignal) {
    this.#events = events
    this.#clock = clock
    this.#signal = signal
  }

  run(kind: EffectKind, effect: () => Promise<void>): void {
    void this.#insist(kind, effect)
  }

  async #insist(kind: EffectKind, effect: () => Promise<void>): Promise<void> {
    for (let waitMs = RETRY_MIN_MS; !this.#signal.aborted; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      await this.#enter(kind)
      try {
        if (!this.#signal.aborted) await effect()
        return
      } catch (err) {
        if (this.#signal.aborted) return
        this.#events.effectFailed(kind, err)
      } finally {
        this.#leave(kind)
      }
      // Its place is free meanwhile: one effect that cannot work does not hold the others up.
      await this.#clock.delay(waitMs, this.#signal)
    }
  }

  async #enter(kind: EffectKind): Promise<void> {
    const running = this.#running.get(kind) ?? 0
    if (running < AT_ONCE[kind]) {
      this.#running.set(kind, running + 1)
      return
    }
    const waiting = this.#waiting.get(kind) ?? []
    this.#waiting.set(kind, waiting)
    await new Promise<void>((resolve) => waiting.push(resolve))
  }

  /** Hands the place over to whoever waits first. */
  #leave(kind: EffectKind): void {
    const next = this.#waiting.get(kind)?.shift()
    if (next === undefined) this.#running.set(kind, this.#running.get(kind)! - 1)
    else next()
  }
}
