import { DarkroomError } from '@darkroom/chassis'
import { GatewayClient } from '@darkroom/cli'
import type { Random } from '@darkroom/sim/random'
import { setTimeout as delay } from 'node:timers/promises'
import type { ChaosFarm } from './chaos-farm.ts'

const SCHEDULERS = ['DDPMScheduler', 'DDIMScheduler', 'EulerDiscreteScheduler', 'DPMSolverMultistepScheduler']
const CONTROLS = 16
const ITEMS = 24
const CANCELLED = 0.15
const RETRY_MS = 500

/** An item that is rendered again and again, each time with the same picture. */
function controlItem(n: number): object {
  return {
    customId: `control-${n}`,
    checkpoint: 'emoji-ddpm',
    scheduler: SCHEDULERS[n % SCHEDULERS.length],
    numInferenceSteps: 3 + (n % 4),
    seed: n,
  }
}

/** Submits batches one after the other for as long as it is told to; some are cancelled in the middle. */
export class Load {
  /** Ids of batches that a gateway accepted. */
  readonly accepted = new Set<string>()
  readonly cancelled = new Set<string>()
  /** Submissions without an answer: the batch is there, or it is not. */
  undecided = 0
  readonly #chaos: ChaosFarm
  readonly #random: Random
  #seed = 1_000

  constructor(chaos: ChaosFarm, random: Random) {
    this.#chaos = chaos
    this.#random = random
  }

  /** Every control item once. */
  async submitControls(): Promise<string> {
    const items = Array.from({ length: CONTROLS }, (_, n) => controlItem(n))
    const { id } = await this.#gateway.submitJson({ items })
    this.accepted.add(id)
    return id
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const { id } = await this.#gateway.submitJson({ items: this.#items() })
        this.accepted.add(id)
        if (this.#random.chance(CANCELLED)) await this.#cancel(id)
        else await this.#end(id, signal)
      } catch (reason) {
        // Refused, or nobody knows: the bucket will tell.
        if (DarkroomError.from(reason).code !== 'INVALID_REQUEST') this.undecided++
        await delay(RETRY_MS)
      }
    }
  }

  get #gateway(): GatewayClient {
    return new GatewayClient(this.#chaos.farm.gatewayUrl)
  }

  /** Half of them controls. */
  #items(): object[] {
    return Array.from({ length: ITEMS }, (_, n) =>
      n % 2 === 0
        ? { ...controlItem(this.#random.below(CONTROLS)), customId: `item-${n}` }
        : { ...controlItem(n), customId: `item-${n}`, seed: this.#seed++ },
    )
  }

  async #cancel(id: string): Promise<void> {
    await delay(this.#random.between(200, 2_000))
    await this.#gateway.cancel(id)
    this.cancelled.add(id)
  }

  async #end(id: string, signal: AbortSignal): Promise<void> {
    for await (const { endedAt } of this.#gateway.follow(id, signal)) if (endedAt !== null) return
  }
}
