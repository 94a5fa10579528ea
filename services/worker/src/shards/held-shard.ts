import type { ShardDelivery } from '@darkroom/chassis'
import type { Item, ShardAssignment } from '@darkroom/proto'
import type { Tick } from '../engine/messages.ts'

/** Why a shard in hand was given up. */
export type GivenUp = 'cancelled' | 'leaving'

/** One shard in this worker's hands, and how far it is. */
export class HeldShard {
  readonly assignment: ShardAssignment
  readonly delivery: ShardDelivery
  /** Denoising steps of its images. */
  readonly stepsTotal: number
  /** Its commit record is in the bucket: what is left is to tell. */
  hasRecord = false
  readonly #images: number
  readonly #jobs = new Set<number>()
  readonly #started = new Set<number>()
  readonly #giveUp = new AbortController()
  #stepsDone = 0
  #givenUp: GivenUp | null = null

  constructor(delivery: ShardDelivery) {
    this.delivery = delivery
    this.assignment = delivery.assignment
    const { items } = delivery.assignment
    this.#images = items.reduce((sum, { numImages }) => sum + numImages, 0)
    this.stepsTotal = items.reduce((sum, item) => sum + item.numImages * stepsOf(item), 0)
  }

  /** Aborts when the shard is given up. */
  get signal(): AbortSignal {
    return this.#giveUp.signal
  }

  get givenUp(): GivenUp | null {
    return this.#givenUp
  }

  /** Some schedulers call the model more often than once a step. */
  get stepsDone(): number {
    return Math.min(this.#stepsDone, this.stepsTotal)
  }

  /** Images that no UNet call has seen yet. */
  get imagesToStart(): number {
    return this.#images - this.#started.size
  }

  giveUp(why: GivenUp): void {
    this.#givenUp ??= why
    this.#giveUp.abort()
  }

  addJob(job: number): void {
    this.#jobs.add(job)
  }

  ticked(tick: Tick): void {
    for (const job of tick.jobs) {
      if (!this.#jobs.has(job)) continue
      this.#stepsDone++
      this.#started.add(job)
    }
  }
}

/** Steps of one image, of the caller's own schedule where there is one. */
function stepsOf({ timesteps, sigmas, numInferenceSteps }: Item): number {
  return timesteps.length || sigmas.length || numInferenceSteps
}
