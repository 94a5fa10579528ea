import { latentImage, rowsOf } from '@darkroom/diffusion'
import type { BatchSizes } from './batch-sizes.ts'
import { KnownSizes } from './known-sizes.ts'
import type { SizeOptions } from './known-sizes.ts'
import { isOutOfMemory } from './out-of-memory.ts'
import { ActiveJob, deviceSecondsOf, refined, usualRequest } from './job.ts'
import type { Job } from './job.ts'
import { choose, createGroup, enqueue, groupKey, interactiveIn, isEmpty, rowsIn, workOf } from './group.ts'
import type { Group } from './group.ts'
import type { EngineStage, Preview, RenderedPicture, RenderState, Tick } from './messages.ts'
import type { Model } from './model.ts'
import { Turns } from './turns.ts'

/** Calls of the denoiser under way: while the device works on one, the lanes of the other are stepped. */
const RING = 2

export interface RendererEvents {
  ticked(tick: Tick): void
  previewed(job: number, preview: Preview): void
  rendered(job: number, image: RenderedPicture): void
  failed(job: number, message: string, deviceSeconds: number): void
  stageTaken(stage: EngineStage, seconds: number): void
}

/** One call of the denoiser. */
interface Call {
  readonly group: Group
  readonly jobs: readonly ActiveJob[]
  readonly rows: number
  /** With rows that nobody looks at. */
  readonly padded: number
}

/**
 * Continuous batching by step: each call of the denoiser takes the lanes that fit, whatever their scheduler, step or batch, and
 * takes each one step further. Lanes join and leave between steps. Whatever can begin begins with each thing that ends. While
 * somebody waits for an image, only calls for such images are made, and others go along where that takes hardly longer.
 */
export class Renderer {
  readonly #models: ReadonlyMap<string, Model>
  readonly #options: SizeOptions
  readonly #events: RendererEvents
  /** In the order of their turns. */
  readonly #groups = new Map<string, Group>()
  readonly #turns = new Turns()
  readonly #sizes: KnownSizes
  /** Jobs that somebody still waits for. */
  readonly #wanted = new Set<number>()
  #calls = 0
  #isProceeding = false

  constructor(models: ReadonlyMap<string, Model>, options: SizeOptions, events: RendererEvents) {
    this.#models = models
    this.#options = options
    this.#sizes = new KnownSizes(options, this.#turns)
    this.#events = events
  }

  add(job: Job): void {
    this.#wanted.add(job.job)
    const { base } = job.state ?? {}
    // One that stopped amid its refiner's part goes on there.
    this.#queue(base && job.request.refiner ? { ...refined(job, base), state: job.state! } : job)
  }

  drop(jobs: readonly number[]): void {
    const gone = new Set(jobs)
    for (const job of jobs) this.#wanted.delete(job)
    for (const group of this.#groups.values()) {
      const left = group.waiting.filter(({ job }) => !gone.has(job))
      group.waiting.splice(0, Infinity, ...left)
      for (const active of group.active) if (gone.has(active.job)) group.active.delete(active)
    }
    this.#proceed()
  }

  /** How far jobs are; those that are not here or have not begun are left out. */
  snapshot(jobs: readonly number[]): ReadonlyMap<number, RenderState> {
    const wanted = new Set(jobs)
    const states = new Map<number, RenderState>()
    for (const { waiting, opening, active, finishing } of this.#groups.values()) {
      for (const { job, state } of [...waiting, ...opening.keys()]) {
        if (wanted.has(job) && state !== undefined) states.set(job, state)
      }
      for (const job of [...active, ...finishing]) if (wanted.has(job.job)) states.set(job.job, job.snapshot())
    }
    return states
  }

  /**
   * Meets the sizes of the checkpoint's usual pictures before anybody waits for one: a GPU looks for its algorithms anew at each
   * number of rows, for seconds.
   */
  async warmUp(pin: string, model: Model): Promise<void> {
    if (this.#options.shapes !== 'closed') return
    const job = { job: 0, pin, request: usualRequest(model.description) }
    const active = await ActiveJob.open(job, model, undefined)
    await this.#sizes.meet(active)
    await model.finish(active.lane, job.request).catch(() => {})
  }

  /** Forgets what was learned of a checkpoint that leaves. */
  forget(pin: string): void {
    this.#sizes.forget(pin)
  }

  #queue(job: Job): void {
    const key = groupKey(job)
    const group = this.#groups.get(key) ?? createGroup(job)
    this.#groups.set(key, group)
    enqueue(group, job)
    this.#proceed()
  }

  /** Begins whatever can begin, once all that has just ended is seen to. */
  #proceed(): void {
    if (this.#isProceeding) return
    this.#isProceeding = true
    queueMicrotask(() => {
      this.#isProceeding = false
      this.#begin()
    })
  }

  #begin(): void {
    for (const group of this.#groups.values()) {
      this.#admit(group)
      if (isEmpty(group)) this.#groups.delete(group.key)
    }
    while (this.#calls < RING) {
      const call = this.#nextCall()
      if (call === null) return
      void this.#step(call)
    }
  }

  /** The next group in turn with a call that is worth making: one beside another of the same group must be full. */
  #nextCall(): Call | null {
    const isAwaited = this.#groups.values().some((group) => interactiveIn(group).length > 0)
    for (const [key, group] of this.#groups) {
      const sizes = this.#sizes.of(key)
      const awaited = interactiveIn(group)
      const canGo = isAwaited ? awaited.some(({ isInCall }) => !isInCall) : group.active.size > 0
      if (!canGo) continue
      if (!this.#turns.allows(group, isAwaited ? 0 : sizes.switchSeconds)) continue
      const rowsForAll = sizes.rowsFor(workOf(group))
      const size = isAwaited ? Math.min(rowsForAll, sizes.beside(rowsIn(awaited))) : rowsForAll
      const jobs = choose(group, size)
      const rows = rowsIn(jobs)
      const isAlone = group.active.values().every(({ isInCall }) => !isInCall)
      if (jobs.length === 0 || (!isAlone && rows < size)) continue
      this.#groups.delete(key)
      this.#groups.set(key, group)
      return { group, jobs, rows, padded: sizes.closed === null ? rows : size }
    }
    return null
  }

  /** Oldest first, while there is room for them in the calls that are under way; what somebody waits for needs none. */
  #admit(group: Group): void {
    const room = RING * this.#sizes.of(group.key).cap
    while (group.waiting.length > 0) {
      const job = group.waiting[0]!
      const { isInteractive = false } = job.request
      if (!isInteractive && rowsIn(group.finishing) >= room) return
      const model = this.#models.get(job.pin)
      const rows = model === undefined ? 0 : rowsOf(model.description.spec, job.request)
      const taken = group.opening.values().reduce((sum, more) => sum + more, 0) + rowsIn(group.active)
      if (!isInteractive && taken > 0 && taken + rows > room) return
      group.waiting.shift()
      group.opening.set(job, rows)
      void this.#open(job, model, group)
    }
  }

  async #open(job: Job, model: Model | undefined, group: Group): Promise<void> {
    try {
      if (model === undefined) throw new RangeError(`the checkpoint ${job.pin} is not loaded.`)
      const refiner = job.request.refiner === undefined ? undefined : this.#models.get(job.request.refiner)
      const active = await ActiveJob.open(job, model, refiner)
      await this.#sizes.meet(active)
      if (active.isFinished) void this.#finish(active, group)
      else if (this.#wanted.has(job.job)) group.active.add(active)
    } catch (reason) {
      this.#fail(job, reason)
    } finally {
      group.opening.delete(job)
      this.#proceed()
    }
  }

  /** One call of the denoiser for all of them. */
  async #step({ group, jobs, rows, padded }: Call): Promise<void> {
    this.#calls++
    const sizes = this.#sizes.of(group.key)
    const isSwitch = this.#turns.begin(group, padded)
    for (const job of jobs) job.isInCall = true
    try {
      const {
        value: output,
        seconds,
        deviceSeconds,
      } = await jobs[0]!.model.predict(
        jobs.map(({ lane }) => lane),
        jobs.map(({ conditioning }) => conditioning),
        padded,
      )
      this.#calls--
      sizes.took(padded, seconds, isSwitch)
      this.#turns.took(group, seconds)
      let row = 0
      for (const job of jobs) {
        const laneRows = rowsIn([job])
        job.seconds += (deviceSeconds * laneRows) / rows
        if (group.active.has(job)) this.#advance(job, group, output, row)
        row += laneRows
      }
      const schedulers = jobs.map(({ request }) => request.scheduler)
      this.#events.ticked({ pin: group.pin, rows, padded, seconds, jobs: jobs.map(({ job }) => job), schedulers })
    } catch (reason) {
      this.#calls--
      this.#retry(group, jobs, sizes, padded, reason)
    }
    this.#proceed()
  }

  #advance(job: ActiveJob, group: Group, output: Float32Array, row: number): void {
    try {
      job.advance(output, row)
    } catch (reason) {
      group.active.delete(job)
      return this.#fail(job, reason)
    }
    if (job.isFinished) {
      group.active.delete(job)
      void this.#finish(job, group)
      return
    }
    const preview = job.duePreview()
    if (preview === null) {
      job.isInCall = false
      return
    }
    // Its own lane waits for it, the others go on. One that cannot be made is not shown: it never fails its picture.
    void preview
      .then((made) => this.#events.previewed(job.job, made))
      .catch(() => {})
      .finally(() => {
        job.isInCall = false
        this.#proceed()
      })
  }

  /** With fewer rows where memory ran out; else each alone, so that what cannot be rendered fails alone. */
  #retry(group: Group, jobs: readonly ActiveJob[], sizes: BatchSizes, rows: number, reason: unknown): void {
    const canShrink = isOutOfMemory(reason) && jobs.length > 1 && sizes.shrink(rows)
    for (const job of jobs) {
      job.isInCall = false
      if (canShrink) continue
      if (jobs.length > 1) job.isTriedAlone = true
      else if (group.active.delete(job)) this.#fail(job, reason)
    }
  }

  async #finish(job: ActiveJob, group: Group): Promise<void> {
    const work = job.work()
    this.#events.stageTaken('denoise', job.seconds)
    const { lane, model, request } = job
    group.finishing.add(job)
    try {
      if (request.refiner !== undefined) {
        this.#queue(refined(job, { ...work, latents: latentImage(lane), generator: lane.generator.state() }))
      } else {
        const { value: finished, deviceSeconds } = await model.finish(lane, request)
        if (this.#wanted.delete(job.job)) {
          this.#events.rendered(job.job, { ...finished, ...work, seconds: work.seconds + deviceSeconds })
        }
      }
    } catch (reason) {
      this.#fail(job, reason)
    } finally {
      group.finishing.delete(job)
      this.#proceed()
    }
  }

  #fail(job: Job, reason: unknown): void {
    if (!this.#wanted.delete(job.job)) return
    this.#events.failed(job.job, reason instanceof Error ? reason.message : String(reason), deviceSecondsOf(job))
  }
}
