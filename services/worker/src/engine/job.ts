import {
  advanceLane,
  defaultSize,
  finishedSteps,
  isFinished,
  openRequest,
  outputSize,
  snapshotLane,
  stepsLeft,
  timestepOf,
} from '@darkroom/diffusion'
import type { CheckpointDescription, Conditioning, Lane } from '@darkroom/diffusion'
import type { BaseWork, Preview, RenderRequest, RenderState } from './messages.ts'
import type { Model } from './model.ts'

/** One image that somebody waits for. */
export interface Job {
  readonly job: number
  readonly pin: string
  readonly request: RenderRequest
  /** How far it is already. */
  readonly state?: RenderState
}

/** What the device has done for a job so far, whether it goes on here or waits to. */
export function deviceSecondsOf(job: Job): number {
  const { base = null, seconds = 0 } = job.state ?? {}
  return (job instanceof ActiveJob ? job.seconds : seconds) + (base?.seconds ?? 0)
}

/** A job with its lane: it takes part in calls of the denoiser. */
export class ActiveJob implements Job {
  readonly job: number
  readonly pin: string
  readonly request: RenderRequest
  readonly state?: RenderState
  readonly model: Model
  readonly lane: Lane
  readonly conditioning: Conditioning
  readonly #warnings: readonly string[]
  /** Model calls of the refiner that follows. */
  readonly #stepsAfter: number
  /** Device seconds: its share of each call. */
  seconds: number
  /** Not to be chosen: a call has it, or its preview. */
  isInCall = false
  /** A call with others has failed. */
  isTriedAlone = false

  private constructor(
    { job, pin, request, state }: Job,
    model: Model,
    lane: Lane,
    { conditioning, warnings }: { readonly conditioning: Conditioning; readonly warnings: readonly string[] },
    stepsAfter: number,
  ) {
    this.job = job
    this.pin = pin
    this.request = request
    if (state !== undefined) this.state = state
    this.model = model
    this.lane = lane
    this.conditioning = conditioning
    this.#warnings = warnings
    this.#stepsAfter = stepsAfter
    this.seconds = state?.seconds ?? 0
  }

  /** Encodes what the job starts from and draws its noise. @throws RangeError for what the checkpoint cannot render */
  static async open(job: Job, model: Model, refiner: Model | undefined): Promise<ActiveJob> {
    const { request, state } = job
    const lane = state?.lane ? model.resume(request, state.lane) : await model.open(request, state?.base ?? undefined)
    const conditioned = await model.condition(lane, request)
    return new ActiveJob(job, model, lane, conditioned, refiner === undefined ? 0 : refinerSteps(request, refiner))
  }

  get isFinished(): boolean {
    return isFinished(this.lane)
  }

  get isInteractive(): boolean {
    return this.request.isInteractive ?? false
  }

  get timestep(): number {
    return timestepOf(this.lane)
  }

  /** One step further. @param row of the call's output, [rows, outputSize] flattened */
  advance(output: Float32Array, row: number): void {
    this.isTriedAlone = false
    advanceLane(this.lane, output, row * outputSize(this.lane))
  }

  snapshot(): RenderState {
    return { base: this.state?.base ?? null, lane: snapshotLane(this.lane), seconds: this.seconds }
  }

  /** What was done, its base's part with it. */
  work(): Omit<BaseWork, 'latents' | 'generator'> {
    const base = this.state?.base
    return {
      seconds: deviceSecondsOf(this),
      steps: finishedSteps(this.lane) + (base?.steps ?? 0),
      warnings: [...(base?.warnings ?? []), ...this.#warnings],
    }
  }

  /** The preview that this step asks for; null for none. Counted are steps of the scheduler, of which some take two calls. */
  duePreview(): Promise<Preview> | null {
    const { request, lane, model } = this
    const { preview } = request
    const calls = finishedSteps(lane)
    const { order } = lane.plan
    if (preview === undefined || calls % order !== 0) return null
    const before = this.state?.base?.steps ?? 0
    const step = before + calls / order
    if (step % preview.every !== 0) return null
    const steps = before + Math.ceil((calls + stepsLeft(lane)) / order) + this.#stepsAfter
    return model.preview(lane, request, preview.mode).then((made) => ({ step, steps, ...made }))
  }
}

/** What is left of a job for the refiner: image-to-image from the base's latents, where the base left off. */
export function refined({ job, request }: Job, base: BaseWork): Job {
  const { refiner } = request
  if (refiner === undefined) throw new RangeError('refiner is missing; there is nothing to hand over to.')
  return { job, pin: refiner, request: refinedRequest(request), state: { base, lane: null, seconds: 0 } }
}

function refinedRequest(request: RenderRequest): RenderRequest {
  const { refiner: _refiner, image: _image, picturesId: _pictures, denoisingEnd, ...rest } = request
  if (denoisingEnd === undefined)
    throw new RangeError('refiner is given without denoisingEnd; want the part of the base.')
  return { ...rest, task: 'image-to-image', denoisingStart: denoisingEnd }
}

function refinerSteps(request: RenderRequest, { description }: Model): number {
  const { begin, end } = openRequest(description.spec, refinedRequest(request))
  return end - begin
}

/** What is most likely asked of a checkpoint: its first task at its own size. */
export function usualRequest(description: CheckpointDescription): RenderRequest {
  const { tasks, defaults, scheduler } = description
  const task = tasks.find((name) => name === 'text-to-image') ?? 'unconditional-image-generation'
  return {
    task,
    prompt: '',
    negativePrompt: null,
    safetyChecker: true,
    scheduler: scheduler.name,
    schedulerConfig: {},
    eta: 0,
    seed: 0,
    numInferenceSteps: 20,
    guidanceScale: 1,
    ...defaults[task],
    ...defaultSize(description, task, undefined),
  }
}
