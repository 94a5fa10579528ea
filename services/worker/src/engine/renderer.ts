import { createLane, isFinished, rowsOf, stepsLeft, timestepOf } from '@darkroom/diffusion'
import type { Lane } from '@darkroom/diffusion'
import { DarkroomError } from '@darkroom/chassis'
import type { ChosenDevice, RenderedRgb, RenderRequest, Tick } from './messages.ts'
import type { Model } from './model.ts'

interface Job {
  readonly job: number
  readonly pin: string
  readonly request: RenderRequest
}

/** A job that takes part in UNet calls. */
interface ActiveJob extends Job {
  readonly model: Model
  readonly lane: Lane
  readonly embeddings: readonly Float32Array[]
  readonly warnings: readonly string[]
  readonly steps: number
  seconds: number
}

export interface RendererEvents {
  ticked(tick: Tick): void
  rendered(job: number, image: RenderedRgb): void
  failed(job: number, error: DarkroomError): void
  stageTaken(stage: 'text_encode' | 'vae_decode', pin: string, seconds: number): void
}

/**
 * Continuous batching by step: each tick takes the lanes that fit one UNet call, whatever their scheduler, step or batch,
 * and takes each one step further. Lanes join and leave between ticks. Runs in the engine thread.
 */
export class Renderer {
  readonly #models: ReadonlyMap<string, Model>
  readonly #device: ChosenDevice['kind']
  readonly #maxRows: number
  readonly #events: RendererEvents
  #waiting: Job[] = []
  #active: ActiveJob[] = []

  constructor(models: ReadonlyMap<string, Model>, device: ChosenDevice['kind'], maxRows: number, events: RendererEvents) {
    this.#models = models
    this.#device = device
    this.#maxRows = maxRows
    this.#events = events
  }

  add(job: Job): void {
    this.#waiting.push(job)
  }

  drop(jobs: readonly number[]): void {
    const gone = new Set(jobs)
    this.#waiting = this.#waiting.filter(({ job }) => !gone.has(job))
    this.#active = this.#active.filter(({ job }) => !gone.has(job))
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#active.length === 0
  }

  /** Admits what fits, runs one UNet call, hands over what is finished. */
  async tick(): Promise<void> {
    await this.#admit()
    const chosen = this.#choose()
    if (chosen.length === 0) return
    const rows = chosen.reduce((sum, { lane }) => sum + rowsOf(lane), 0)
    const start = performance.now()
    try {
      await chosen[0]!.model.step(chosen.map(({ lane }) => lane), chosen.map(({ embeddings }) => embeddings), this.#paddedRows(rows))
    } catch (reason) {
      for (const job of chosen) this.#fail(job, reason)
      return
    }
    const seconds = (performance.now() - start) / 1000
    for (const job of chosen) job.seconds += (seconds * rowsOf(job.lane)) / rows
    this.#events.ticked({
      pin: chosen[0]!.pin,
      rows,
      seconds,
      jobs: chosen.map(({ job }) => job),
      schedulers: chosen.map(({ request }) => request.scheduler),
    })
    for (const job of chosen.filter(({ lane }) => isFinished(lane))) await this.#finish(job)
  }

  /** Oldest first, until a call would be full. */
  async #admit(): Promise<void> {
    while (this.#waiting.length > 0) {
      const rows = this.#active.reduce((sum, { lane }) => sum + rowsOf(lane), 0)
      if (rows + 2 > this.#maxRows) return
      const job = this.#waiting.shift()!
      try {
        this.#active.push(await this.#open(job))
      } catch (reason) {
        this.#fail(job, reason)
      }
    }
  }

  async #open(job: Job): Promise<ActiveJob> {
    const model = this.#models.get(job.pin)!
    const lane = createLane(model.description.spec, job.request)
    const start = performance.now()
    const { embeddings, truncated } = await model.condition(lane, job.request.prompt, job.request.negativePrompt)
    if (embeddings.length > 0) this.#events.stageTaken('text_encode', job.pin, (performance.now() - start) / 1000)
    const warnings = truncated === null ? [] : [`the prompt is longer than ${model.description.promptMaxLength} tokens; this was cut off: ${truncated.trim()}`]
    return { ...job, model, lane, embeddings, warnings, steps: stepsLeft(lane), seconds: 0 }
  }

  /** The lanes that fit a call with the oldest one. */
  #choose(): ActiveJob[] {
    const oldest = this.#active[0]
    if (oldest === undefined) return []
    const fits = ({ model, lane }: ActiveJob): boolean =>
      model === oldest.model &&
      lane.shape.every((side, k) => side === oldest.lane.shape[k]) &&
      (model.takesTimestepPerSample || timestepOf(lane) === timestepOf(oldest.lane))
    return this.#active.filter(fits)
  }

  /** GPUs search algorithms for each new shape, so they see only powers of two; the CPU does not mind. */
  #paddedRows(rows: number): number {
    return this.#device === 'cpu' ? rows : 2 ** Math.ceil(Math.log2(rows))
  }

  async #finish(job: ActiveJob): Promise<void> {
    this.#active = this.#active.filter((other) => other !== job)
    const start = performance.now()
    try {
      const rgb = await job.model.decode(job.lane)
      const seconds = (performance.now() - start) / 1000
      this.#events.stageTaken('vae_decode', job.pin, seconds)
      const { width, height } = job.request
      this.#events.rendered(job.job, { rgb, width, height, seconds: job.seconds + seconds, steps: job.steps, warnings: job.warnings })
    } catch (reason) {
      this.#fail(job, reason)
    }
  }

  #fail(job: Job, reason: unknown): void {
    this.#active = this.#active.filter((other) => other.job !== job.job)
    const message = reason instanceof Error ? reason.message : String(reason)
    this.#events.failed(job.job, new DarkroomError('RENDER_FAILED', message, { cause: reason }))
  }
}
