import {
  advanceLane,
  finishedSteps,
  isFinished,
  latentImage,
  snapshotLane,
  outputSize,
  rowsOf,
  stepsLeft,
  timestepOf,
} from '@darkroom/diffusion'
import type { Conditioning, Lane } from '@darkroom/diffusion'
import { DarkroomError } from '@darkroom/chassis'
import type {
  BaseWork,
  ChosenDevice,
  EngineStage,
  Preview,
  RenderedPicture,
  RenderRequest,
  RenderState,
  Tick,
} from './messages.ts'
import type { Model } from './model.ts'

interface Job {
  readonly job: number
  readonly pin: string
  readonly request: RenderRequest
  /** How far it is already. */
  readonly state?: RenderState
}

/** A job that takes part in UNet calls. */
interface ActiveJob extends Job {
  readonly model: Model
  readonly lane: Lane
  readonly conditioning: Conditioning
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
  previewed(job: number, preview: Preview): void
  rendered(job: number, image: RenderedPicture): void
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

  add(added: Job): void {
    const { base } = added.state ?? {}
    // One that stopped amid its refiner's part goes on there.
    const job = base && added.request.refiner ? { ...refined(added, base), state: added.state! } : added
    const { width, height, task, maxSequenceLength = '' } = job.request
    const key = `${job.pin} ${width}x${height} ${task} ${maxSequenceLength}`
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

  /** How far jobs are; those that are not here or have not begun are left out. */
  snapshot(jobs: readonly number[]): ReadonlyMap<number, RenderState> {
    const wanted = new Set(jobs)
    const states = new Map<number, RenderState>()
    for (const { waiting, active } of this.#groups.values()) {
      for (const { job, state } of waiting) if (wanted.has(job) && state !== undefined) states.set(job, state)
      for (const { job, lane, state, seconds } of active) {
        if (wanted.has(job)) states.set(job, { base: state?.base ?? null, lane: snapshotLane(lane), seconds })
      }
    }
    return states
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
    let rows = group.active.reduce((sum, { lane }) => sum + rowsOf(lane.spec, lane.request), 0)
    while (group.waiting.length > 0) {
      const job = group.waiting[0]!
      const model = this.#models.get(job.pin)
      rows += model === undefined ? 0 : rowsOf(model.description.spec, job.request)
      if (rows > this.#maxRows) return
      group.waiting.shift()
      try {
        group.active.push(await this.#open(job, model))
      } catch (reason) {
        this.#fail(job, group, reason)
      }
    }
  }

  async #open(job: Job, model: Model | undefined): Promise<ActiveJob> {
    if (model === undefined) throw new RangeError(`the checkpoint ${job.pin} is not loaded.`)
    const { request, state } = job
    const start = performance.now()
    const lane = state?.lane ? model.resume(request, state.lane) : await model.open(request, state?.base ?? undefined)
    const opened = performance.now()
    if (request.image !== undefined && !state?.lane) this.#events.stageTaken('vae_encode', (opened - start) / 1000)
    const { conditioning, warnings } = await model.condition(lane, request)
    if (model.description.promptMaxLength !== null) this.#events.stageTaken('text_encode', secondsSince(opened))
    const steps = finishedSteps(lane) + stepsLeft(lane)
    return { ...job, model, lane, conditioning, warnings, steps, seconds: state?.seconds ?? 0 }
  }

  /** One UNet call for all of them. Where it fails, each is tried alone, so that what cannot be rendered fails alone. */
  async #step(chosen: readonly ActiveJob[], group: Group): Promise<void> {
    const rows = chosen.reduce((sum, { lane }) => sum + rowsOf(lane.spec, lane.request), 0)
    const { model, pin } = chosen[0]!
    const start = performance.now()
    let output: Float32Array
    try {
      output = await model.predict(
        chosen.map(({ lane }) => lane),
        chosen.map(({ conditioning }) => conditioning),
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
      const laneRows = rowsOf(lane.spec, lane.request)
      job.seconds += (seconds * laneRows) / rows
      try {
        advanceLane(lane, output, offset)
        await this.#preview(job)
      } catch (reason) {
        this.#fail(job, group, reason)
      }
      offset += laneRows * outputSize(lane)
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

  async #preview({ job, request, lane, model, steps }: ActiveJob): Promise<void> {
    const { preview } = request
    const step = finishedSteps(lane)
    if (preview === undefined || isFinished(lane) || step % preview.every !== 0) return
    this.#events.previewed(job, { step, steps, picture: await model.preview(lane, request, preview.mode) })
  }

  async #finish(job: ActiveJob, group: Group): Promise<void> {
    const { lane, model, request } = job
    const base = job.state?.base
    group.active = group.active.filter((other) => other !== job)
    const work = {
      seconds: job.seconds + (base?.seconds ?? 0),
      steps: job.steps + (base?.steps ?? 0),
      warnings: [...(base?.warnings ?? []), ...job.warnings],
    }
    this.#events.stageTaken('denoise', job.seconds)
    if (request.refiner !== undefined)
      return this.add(refined(job, { ...work, latents: latentImage(lane), generator: lane.generator.state() }))
    const start = performance.now()
    try {
      const finished = await model.finish(lane, request)
      const seconds = secondsSince(start)
      this.#events.stageTaken('vae_decode', seconds)
      this.#events.rendered(job.job, { ...finished, ...work, seconds: work.seconds + seconds })
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

/** What is left of a job for the refiner: image-to-image from the base's latents, where the base left off. */
function refined({ job, request }: Job, base: BaseWork): Job {
  const { refiner, image: _image, denoisingEnd, ...rest } = request
  if (refiner === undefined || denoisingEnd === undefined)
    throw new RangeError('refiner is given without denoisingEnd; want the part of the base.')
  const left: RenderRequest = { ...rest, task: 'image-to-image', denoisingStart: denoisingEnd }
  return { job, pin: refiner, request: left, state: { base, lane: null, seconds: 0 } }
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
