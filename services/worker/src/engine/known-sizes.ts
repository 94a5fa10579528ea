import { createBatchSizes } from './batch-sizes.ts'
import type { BatchSizes, Shapes } from './batch-sizes.ts'
import { groupKey, rowsIn } from './group.ts'
import type { ActiveJob } from './job.ts'
import { meetSizes } from './meet-sizes.ts'
import type { Turns } from './turns.ts'

export interface SizeOptions {
  /** Rows of one call at most. */
  readonly maxRows: number
  readonly shapes: Shapes
}

/** What was learned of the batch sizes of each checkpoint and shape of latents. */
export class KnownSizes {
  readonly #options: SizeOptions
  readonly #turns: Turns
  readonly #sizes = new Map<string, BatchSizes>()
  readonly #met = new Map<string, Promise<void>>()

  constructor(options: SizeOptions, turns: Turns) {
    this.#options = options
    this.#turns = turns
  }

  /** @param key of a group */
  of(key: string): BatchSizes {
    const { maxRows, shapes } = this.#options
    const sizes = this.#sizes.get(key) ?? createBatchSizes(maxRows, shapes)
    this.#sizes.set(key, sizes)
    return sizes
  }

  /** Once for each checkpoint and shape, and again for lanes of one row, which fit a smaller size than those of two. */
  meet(job: ActiveJob): Promise<void> {
    if (this.#options.shapes !== 'closed') return Promise.resolve()
    const key = `${groupKey(job)} ${rowsIn([job])}`
    const met = this.#met.get(key) ?? this.#turns.hold(job.pin, () => meetSizes(job, this.of(groupKey(job))))
    this.#met.set(key, met)
    return met
  }

  /** Forgets what was learned of a checkpoint that leaves. */
  forget(pin: string): void {
    for (const known of [this.#sizes, this.#met]) {
      for (const key of known.keys()) if (key.startsWith(`${pin} `)) known.delete(key)
    }
    this.#turns.forget(pin)
  }
}
