import { DarkroomError } from '@darkroom/chassis'
import { Worker } from 'node:worker_threads'
import type { ChosenDevice, EngineOptions, EngineOrder, EngineReport, RenderedRgb, RenderRequest, Tick } from './messages.ts'

export interface EngineListener {
  ticked(tick: Tick): void
  stageTaken(stage: 'text_encode' | 'vae_decode', pin: string, seconds: number): void
  /** The thread is gone: nothing renders here any more. */
  died(reason: Error): void
}

interface Waiting<T> {
  resolve(value: T): void
  reject(reason: Error): void
}

/** The engine thread as its owner sees it: load a checkpoint, render an image, give one up. */
export class Engine implements AsyncDisposable {
  readonly device: ChosenDevice
  readonly #thread: Worker
  readonly #images = new Map<number, Waiting<RenderedRgb>>()
  readonly #loads = new Map<string, Waiting<number>>()
  #nextJob = 1
  #isStopping = false

  private constructor(thread: Worker, device: ChosenDevice, listener: EngineListener) {
    this.#thread = thread
    this.device = device
    thread.on('message', (report: EngineReport) => this.#receive(report, listener))
    const died = (reason: Error): void => {
      if (this.#isStopping) return
      for (const waiting of [...this.#images.values(), ...this.#loads.values()]) waiting.reject(reason)
      listener.died(reason)
    }
    thread.on('error', (reason) => died(reason as Error))
    thread.on('exit', (code) => died(new Error(`the engine thread ended with code ${code}`)))
  }

  /** @throws Error when the device that was asked for does not work */
  static async start(options: EngineOptions, listener: EngineListener): Promise<Engine> {
    const thread = new Worker(new URL('engine-thread.ts', import.meta.url), { workerData: options })
    const device = await new Promise<ChosenDevice>((resolve, reject) => {
      thread.once('error', reject)
      thread.once('message', (report: EngineReport) => {
        if (report.type === 'ready') resolve(report.device)
        else reject(new DarkroomError('INVALID_CONFIG', report.type === 'unusable' ? report.message : 'the engine did not start'))
      })
    })
    return new Engine(thread, device, listener)
  }

  /** Seconds that it took. @throws DarkroomError CHECKPOINT_INVALID */
  load(pin: string, folder: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#loads.set(pin, { resolve, reject })
      this.#order({ type: 'load', pin, folder })
    })
  }

  /** @throws DarkroomError RENDER_FAILED, or CANCELLED once the signal aborts */
  render(pin: string, request: RenderRequest, signal: AbortSignal, onJob?: (job: number) => void): Promise<RenderedRgb> {
    const job = this.#nextJob++
    onJob?.(job)
    return new Promise((resolve, reject) => {
      const drop = (): void => {
        this.#images.delete(job)
        this.#order({ type: 'drop', jobs: [job] })
        reject(new DarkroomError('CANCELLED', 'the shard was given up'))
      }
      if (signal.aborted) return drop()
      signal.addEventListener('abort', drop, { once: true })
      const done = (): void => {
        signal.removeEventListener('abort', drop)
        this.#images.delete(job)
      }
      this.#images.set(job, {
        resolve: (image) => {
          done()
          resolve(image)
        },
        reject: (reason) => {
          done()
          reject(reason)
        },
      })
      this.#order({ type: 'render', job, pin, request })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    await this.#thread.terminate()
  }

  #order(order: EngineOrder): void {
    this.#thread.postMessage(order)
  }

  #receive(report: EngineReport, listener: EngineListener): void {
    switch (report.type) {
      case 'tick':
        return listener.ticked(report.tick)
      case 'stage':
        return listener.stageTaken(report.stage, report.pin, report.seconds)
      case 'image':
        return this.#images.get(report.job)?.resolve(report.image)
      case 'failed':
        return this.#images.get(report.job)?.reject(new DarkroomError(report.code, report.message))
      case 'loaded':
        return this.#loads.get(report.pin)?.resolve(report.seconds)
      case 'load-failed':
        return this.#loads.get(report.pin)?.reject(new DarkroomError('CHECKPOINT_INVALID', `${report.pin}: ${report.message}`))
      case 'unusable':
        return listener.died(new Error(report.message))
    }
  }
}
