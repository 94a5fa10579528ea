import type { Logger } from '@darkroom/chassis'
import { WorkerState, WorkerStateSchema } from '@darkroom/proto'

/** What may follow what. `rendering` and `idle` alternate; draining ends the life. */
const TRANSITIONS: ReadonlyMap<WorkerState, readonly WorkerState[]> = new Map([
  [WorkerState.STARTING, [WorkerState.IDLE, WorkerState.DRAINING]],
  [WorkerState.IDLE, [WorkerState.RENDERING, WorkerState.DRAINING]],
  [WorkerState.RENDERING, [WorkerState.IDLE, WorkerState.DRAINING]],
])

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

  /** @throws Error for a transition that cannot be, which is a bug */
  to(next: WorkerState): void {
    if (next === this.#state) return
    const names = { from: nameOf(this.#state), to: nameOf(next) }
    if (!TRANSITIONS.get(this.#state)?.includes(next)) {
      throw new Error(`a worker cannot go from ${names.from} to ${names.to}`)
    }
    this.#log.debug(names, 'state changed')
    this.#state = next
  }
}

function nameOf(state: WorkerState): string {
  return WorkerStateSchema.value[state]?.name ?? String(state)
}
