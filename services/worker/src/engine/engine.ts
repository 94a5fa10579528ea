import { DarkroomError } from '@darkroom/chassis'
import type { CheckpointDescription } from '@darkroom/diffusion'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describeFolder } from './describe-folder.ts'
import { DeviceClock } from './device-clock.ts'
import type {
  ChosenDevice,
  EngineSettings,
  EngineOptions,
  EngineOrder,
  EngineReport,
  EngineStage,
  EngineThreadData,
  Preview,
  RenderedPicture,
  RenderRequest,
  RenderState,
  Tick,
} from './messages.ts'
import { RenderFailure } from './render-failure.ts'

export interface EngineListener {
  ticked(tick: Tick): void
  stageTaken(stage: EngineStage, seconds: number): void
  /** The thread is gone: nothing renders here any more. */
  died(reason: Error): void
}

interface Waiting<T> {
  resolve(value: T): void
  reject(reason: Error): void
}

/** What one render tells on its way. */
export interface RenderWatch {
  /** The number that the ticks call it by. */
  readonly started?: (job: number) => void
  readonly previewed?: (preview: Preview) => void
  /** Where another attempt of the same request stopped. */
  readonly resumeFrom?: RenderState
}

/** The engine thread as its owner sees it: load a checkpoint, render an image, give one up. */
export class Engine implements AsyncDisposable {
  readonly settings: EngineSettings
  /** What the device's time goes into, from the engine's start. */
  readonly clock: DeviceClock
  readonly #thread: Worker
  readonly #images = new Map<number, Waiting<RenderedPicture>>()
  readonly #previews = new Map<number, (preview: Preview) => void>()
  readonly #loads = new Map<string, Waiting<void>>()
  readonly #snapshots = new Map<number, Waiting<ReadonlyMap<number, RenderState>>>()
  #nextJob = 1
  #nextSnapshot = 1
  #isStopping = false
  #hasEnded = false
  #death: DarkroomError | null = null

  private constructor(thread: Worker, settings: EngineSettings, clock: DeviceClock, listener: EngineListener) {
    this.#thread = thread
    this.settings = settings
    this.clock = clock
    thread.on('message', (report: EngineReport) => this.#receive(report, listener))
    const died = (reason: Error): void => {
      if (this.#isStopping || this.#death !== null) return
      this.#death = new DarkroomError('INTERNAL', 'the engine thread died', { cause: reason })
      const waiting = [...this.#images.values(), ...this.#loads.values(), ...this.#snapshots.values()]
      for (const one of waiting) one.reject(this.#death)
      listener.died(reason)
    }
    thread.on('error', (reason) => died(reason as Error))
    thread.on('exit', (code) => {
      this.#hasEnded = true
      died(new Error(`the engine thread ended with code ${code}`))
    })
  }

  /** @throws Error when the device that was asked for does not work */
  static async start(options: EngineOptions, listener: EngineListener): Promise<Engine> {
    const clock = new DeviceClock()
    const workerData: EngineThreadData = { ...options, clockMemory: clock.memory }
    const thread = new Worker(new URL('engine-thread.ts', import.meta.url), { workerData })
    const settings = await new Promise<EngineSettings>((resolve, reject) => {
      thread.once('error', reject)
      thread.once('exit', () => reject(new Error('the engine thread ended before it chose a device')))
      thread.once('message', (report: EngineReport) => {
        if (report.type === 'ready') resolve(report.settings)
        else
          reject(
            new DarkroomError(
              'INVALID_CONFIG',
              report.type === 'unusable' ? report.message : 'the engine did not start',
            ),
          )
      })
    })
    return new Engine(thread, settings, clock, listener)
  }

  get device(): ChosenDevice {
    return this.settings.device
  }

  /** Loads a verified checkpoint folder. @throws DarkroomError CHECKPOINT_INVALID */
  async load(pin: string, folder: string): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        if (this.#death !== null) return reject(this.#death)
        this.#loads.set(pin, { resolve, reject })
        this.#order({ type: 'load', pin, folder, description: described(pin, folder) })
      })
    } finally {
      this.#loads.delete(pin)
    }
  }

  /** Frees a checkpoint that no render uses. */
  unload(pin: string): void {
    this.#order({ type: 'unload', pin })
  }

  /**
   * Renders one image with a loaded checkpoint.
   * @throws RenderFailure, or DarkroomError CANCELLED once the signal aborts
   */
  async render(
    pin: string,
    request: RenderRequest,
    signal: AbortSignal,
    watch: RenderWatch = {},
  ): Promise<RenderedPicture> {
    const job = this.#nextJob++
    watch.started?.(job)
    if (watch.previewed !== undefined) this.#previews.set(job, watch.previewed)
    const givenUp = Promise.withResolvers<never>()
    const giveUp = (): void => {
      this.#order({ type: 'drop', jobs: [job] })
      givenUp.reject(new DarkroomError('CANCELLED', 'the shard was given up'))
    }
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      const rendered = new Promise<RenderedPicture>((resolve, reject) => {
        if (this.#death !== null) return reject(this.#death)
        this.#images.set(job, { resolve, reject })
        const state = watch.resumeFrom
        if (!signal.aborted) this.#order({ type: 'render', job, pin, request, ...(state !== undefined && { state }) })
      })
      return await Promise.race([rendered, givenUp.promise])
    } finally {
      signal.removeEventListener('abort', giveUp)
      this.#images.delete(job)
      this.#previews.delete(job)
    }
  }

  /** How far renders are, by job; those that are done, given up or not begun are left out. */
  async snapshot(jobs: readonly number[]): Promise<ReadonlyMap<number, RenderState>> {
    const id = this.#nextSnapshot++
    try {
      return await new Promise((resolve, reject) => {
        if (this.#death !== null) return reject(this.#death)
        this.#snapshots.set(id, { resolve, reject })
        this.#order({ type: 'snapshot', id, jobs })
      })
    } finally {
      this.#snapshots.delete(id)
    }
  }

  /** Lets the call that runs end: to terminate a thread inside onnxruntime would abort the whole process. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isStopping) return
    this.#isStopping = true
    if (this.#hasEnded) return
    const ended = once(this.#thread, 'exit')
    this.#order({ type: 'stop' })
    await ended
  }

  #order(order: EngineOrder): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads have no origin
    this.#thread.postMessage(order)
  }

  #receive(report: EngineReport, listener: EngineListener): void {
    switch (report.type) {
      case 'tick':
        return listener.ticked(report.tick)
      case 'stage':
        return listener.stageTaken(report.stage, report.seconds)
      case 'image':
        return this.#images.get(report.job)?.resolve(report.image)
      case 'preview':
        return this.#previews.get(report.job)?.(report.preview)
      case 'failed':
        return this.#images.get(report.job)?.reject(new RenderFailure(report.message, report.deviceSeconds))
      case 'snapshot':
        return this.#snapshots.get(report.id)?.resolve(report.states)
      case 'loaded':
        return this.#loads.get(report.pin)?.resolve()
      case 'load-failed':
        return this.#loads.get(report.pin)?.reject(invalid(report.pin, report.message))
      case 'unusable':
        return listener.died(new Error(report.message))
    }
  }
}

function described(pin: string, folder: string): CheckpointDescription {
  try {
    return describeFolder(folder)
  } catch (reason) {
    throw invalid(pin, reason instanceof Error ? reason.message : String(reason))
  }
}

function invalid(pin: string, message: string): DarkroomError {
  return new DarkroomError('CHECKPOINT_INVALID', `${pin}: ${message}`)
}
