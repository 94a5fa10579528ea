import type { Logger } from '@darkroom/chassis'
import { WorkerState } from '@darkroom/proto'

/** What may follow what. `rendering` and `idle` alternate; draining ends the life. */
const TRANSITIONS = {
  [WorkerState.UNSPECIFIED]: [],
  [WorkerState.STARTING]: [WorkerState.IDLE, WorkerState.DRAINING],
  [WorkerState.IDLE]: [WorkerState.RENDERING, WorkerState.DRAINING],
  [WorkerState.RENDERING]: [WorkerState.IDLE, WorkerState.DRAINING],
  [WorkerState.DRAINING]: [],
  [WorkerState.LOST]: [],
} as const satisfies Record<WorkerState, readonly WorkerState[]>

/** The worker's state, changed in one place only, which checks and logs. */
export class Lifecycle {
  #state: WorkerState = WorkerState.STARTING
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  get state(): WorkerState {
    return this.#state
  }

  to(next: WorkerState): void {
    if (next === this.#state) return
    const allowed: readonly WorkerState[] = TRANSITIONS[this.#state]
    if (!allowed.includes(next)) throw new Error(`a worker cannot go from state ${this.#state} to ${next}`)
    this.#log.debug({ from: this.#state, to: next }, 'state changed')
    this.#state = next
  }
}
