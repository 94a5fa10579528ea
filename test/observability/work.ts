import type { GatewayClient } from '@darkroom/cli'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const SCHEDULERS = [
  'EulerDiscreteScheduler',
  'DDIMScheduler',
  'PNDMScheduler',
  'DPMSolverMultistepScheduler',
  'UniPCMultistepScheduler',
  'EulerAncestralDiscreteScheduler',
]
/** One item of so many starts from a picture that was cut off. */
const FAILS_EVERY = 200
const CUT_OFF_BYTES = 2_000
const PAUSED = 1_000

/** How many items of all batches ended how. */
export type EndedItems = Readonly<Record<'rendered' | 'failed' | 'cancelled', number>>

type Batches = Readonly<Record<'cancelled' | 'many' | 'fewer' | 'paused', string>>

/** A batch of many images and one of fewer, one that is cancelled at once, and one that stays paused until they have ended. */
export class Work {
  readonly #gateway: GatewayClient
  readonly #batches: Batches

  private constructor(gateway: GatewayClient, batches: Batches) {
    this.#gateway = gateway
    this.#batches = batches
  }

  static async submit(gateway: GatewayClient, images: number): Promise<Work> {
    const submit = async (count: number): Promise<string> =>
      (await gateway.submitJson({ items: Array.from({ length: count }, (_, i) => itemOf(i)) })).id
    const cancelled = await submit(64)
    await gateway.cancel(cancelled)
    const many = await submit(images)
    const fewer = await submit(100)
    // Nothing of it begins, behind the others.
    const paused = await submit(PAUSED)
    await gateway.update(paused, { paused: true })
    return new Work(gateway, { cancelled, many, fewer, paused })
  }

  /** Resolves when some of the many are rendered, and the worker has others in hand. */
  async begunBy(worker: string): Promise<void> {
    for await (const { items } of this.#gateway.follow(this.#batches.many, new AbortController().signal)) {
      const workers = await this.#gateway.workers()
      if (items.rendered > 0 && workers.some(({ id, running }) => id === worker && running.length > 0)) return
    }
  }

  /** Ends what is not rendered by now. */
  async stop(): Promise<void> {
    await this.#gateway.cancel(this.#batches.many)
  }

  /** Waits for the end of all; the paused one is cancelled, once the others have ended. */
  async ended(): Promise<EndedItems> {
    const sum = { rendered: 0, failed: 0, cancelled: 0 }
    const { paused, ...others } = this.#batches
    for (const id of [...Object.values(others), paused]) {
      if (id === paused) await this.#gateway.cancel(id)
      let state = ''
      for await (const batch of this.#gateway.follow(id, new AbortController().signal)) ({ state } = batch)
      const { items } = await this.#gateway.batch(id)
      console.log(`batch ${id} ${state}`)
      for (const outcome of ['rendered', 'failed', 'cancelled'] as const) sum[outcome] += items[outcome]
    }
    return sum
  }
}

function itemOf(i: number): object {
  const common = { scheduler: SCHEDULERS[i % SCHEDULERS.length], numInferenceSteps: 10 + (i % 3) * 10, seed: i }
  if (i % FAILS_EVERY === FAILS_EVERY - 1) return { ...common, checkpoint: 'emoji-sd', prompt: 'a cat', ...cutOff() }
  if (i % 10 === 0) return { ...common, checkpoint: 'emoji-ddpm' }
  return { ...common, checkpoint: 'emoji-sd', prompt: 'a red apple', guidanceScale: 3.5 }
}

/** Passes the gateway, which reads a picture's header, and cannot be decoded by the worker. */
function cutOff(): object {
  const file = path.resolve(import.meta.dirname, '../../deploy/local/examples/cat.png')
  const start = readFileSync(file).subarray(0, CUT_OFF_BYTES)
  return { task: 'image-to-image', image: `data:image/png;base64,${start.toString('base64')}`, strength: 0.6 }
}
