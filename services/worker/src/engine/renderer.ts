import { advanceLane, createLane, isFinished, isGuided, rowsOf, stepsLeft, timestepOf } from '@darkroom/diffusion'
import type { Lane } from '@darkroom/diffusion'
import { DarkroomError } from '@darkroom/chassis'
import type { ChosenDevice, EngineStage, RenderedRgb, RenderRequest, Tick } from './messages.ts'
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
  /** For each row what it is conditioned on; empty where the task takes no prompt. */
  readonly embeddings: readonly Float32Array[]
  readonly warnings: readonly string[]
  readonly steps: number
  seconds: number
}

/** Jobs that can share a UNet call: one checkpoint, one latent shape. The oldest come first. */
interface Group {
  readonly waiting: Job[]
  active: ActiveJob[]
}

export interface RendererEvents {
  ticked(tick: Tick): void
  rendered(job: number, image: RenderedRgb): void
  failed(job: number, error: DarkroomError): void
  stageTaken(stage: EngineStage, seconds: number): void
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
  /** In the order of their turns. */
  readonly #groups = new Map<string, Group>()

  constructor(
    models: ReadonlyMap<string, Model>,
    device: ChosenDevice['kind'],
    maxRows: number,
    events: RendererEvents,
  ) {
    this.#models = models
    this.#device = device
    this.#maxRows = maxRows
    this.#events = events
  }

  add(job: Job): void {
    const key = `${job.pin} ${job.request.width}x${job.request.height}`
    const group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, { waiting: [job], active: [] })
    else group.waiting.push(job)
  }

  drop(jobs: readonly number[]): void {
    const gone = new Set(jobs)
    for (const [key, group] of this.#groups) {
      const waiting = group.waiting.filter(({ job }) => !gone.has(job))
      const active = group.active.filter(({ job }) => !gone.has(job))
      if (waiting.length + active.length === 0) this.#groups.delete(key)
      else this.#groups.set(key, { waiting, active })
    }
  }

  get isIdle(): boolean {
    return this.#groups.size === 0
  }

  /** One group's turn: admits what fits, runs one UNet call, hands over what is finished. */
  async tick(): Promise<void> {
    const turn = this.#groups.entries().next().value
    if (turn === undefined) return
    const [key, group] = turn
    this.#groups.delete(key)
    await this.#admit(group)
    const chosen = choose(group)
    if (chosen.length > 0) await this.#step(chosen, group)
    for (const job of chosen.filter((one) => group.active.includes(one) && isFinished(one.lane))) {
      await this.#finish(job, group)
    }
    if (group.waiting.length + group.active.length > 0) this.#groups.set(key, group)
  }

  /** Oldest first, until a call would be full. */
  async #admit(group: Group): Promise<void> {
    let rows = group.active.reduce((sum, { lane }) => sum + rowsOf(lane), 0)
    while (group.waiting.length > 0) {
      const job = group.waiting[0]!
      rows += isGuided(job.request) ? 2 : 1
      if (rows > this.#maxRows) return
      group.waiting.shift()
      try {
        group.active.push(await this.#open(job))
      } catch (reason) {
        this.#fail(job, group, reason)
      }
    }
  }

  async #open(job: Job): Promise<ActiveJob> {
    const model = this.#models.get(job.pin)
    if (model === undefined) throw new RangeError(`the checkpoint ${job.pin} is not loaded.`)
    const lane = createLane(model.description.spec, job.request)
    const start = performance.now()
    const { embeddings, truncated } = await model.condition(lane, job.request.prompt, job.request.negativePrompt)
    if (embeddings.length > 0) this.#events.stageTaken('text_encode', secondsSince(start))
    const limit = model.description.promptMaxLength
    const warnings =
      truncated === null ? [] : [`the prompt is longer than ${limit} tokens; this was cut off: ${truncated.trim()}`]
    return { ...job, model, lane, embeddings, warnings, steps: stepsLeft(lane), seconds: 0 }
  }

  /** One UNet call for all of them. Where it fails, each is tried alone, so that what cannot be rendered fails alone. */
  async #step(chosen: readonly ActiveJob[], group: Group): Promise<void> {
    const rows = chosen.reduce((sum, { lane }) => sum + rowsOf(lane), 0)
    const { model, pin } = chosen[0]!
    const start = performance.now()
    let output: Float32Array
    try {
      output = await model.predict(
        chosen.map(({ lane }) => lane),
        chosen.flatMap(({ embeddings }) => embeddings),
        this.#paddedRows(rows),
      )
    } catch (reason) {
      if (chosen.length === 1) return this.#fail(chosen[0]!, group, reason)
      for (const job of chosen) await this.#step([job], group)
      return
    }
    const seconds = secondsSince(start)
    let offset = 0
    for (const job of chosen) {
      const { lane } = job
      const laneRows = rowsOf(lane)
      job.seconds += (seconds * laneRows) / rows
      try {
        advanceLane(lane, output, offset)
      } catch (reason) {
        this.#fail(job, group, reason)
      }
      offset += laneRows * lane.latents.length
    }
    this.#events.ticked({
      pin,
      rows,
      seconds,
      jobs: chosen.map(({ job }) => job),
      schedulers: chosen.map(({ request }) => request.scheduler),
    })
  }

  /** GPUs search algorithms for each new shape, so they see a closed set of sizes; the CPU does not mind. */
  #paddedRows(rows: number): number {
    return this.#device === 'cpu' ? rows : Math.min(2 ** Math.ceil(Math.log2(rows)), this.#maxRows)
  }

  async #finish(job: ActiveJob, group: Group): Promise<void> {
    const start = performance.now()
    try {
      const rgb = await job.model.decode(job.lane)
      const seconds = secondsSince(start)
      this.#events.stageTaken('denoise', job.seconds)
      this.#events.stageTaken('vae_decode', seconds)
      const { width, height } = job.request
      const { steps, warnings } = job
      group.active = group.active.filter((other) => other !== job)
      this.#events.rendered(job.job, { rgb, width, height, seconds: job.seconds + seconds, steps, warnings })
    } catch (reason) {
      this.#fail(job, group, reason)
    }
  }

  #fail(job: Job, group: Group, reason: unknown): void {
    group.active = group.active.filter((other) => other.job !== job.job)
    const message = reason instanceof Error ? reason.message : String(reason)
    this.#events.failed(job.job, new DarkroomError('RENDER_FAILED', message, { cause: reason }))
  }
}

/** The lanes that fit a call with the group's oldest: all, or for exports with a scalar timestep those at the same one. */
function choose({ active }: Group): ActiveJob[] {
  const oldest = active[0]
  if (oldest === undefined || oldest.model.takesTimestepPerSample) return active
  return active.filter(({ lane }) => timestepOf(lane) === timestepOf(oldest.lane))
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000
}
