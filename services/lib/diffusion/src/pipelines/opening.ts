import { FAMILIES } from '../families/registry.ts'
import type { Family } from '../families/family.ts'
import { schedulerFromConfig } from '../schedulers/from-config.ts'
import type { AnyScheduler, Plan, StepOptions } from '../schedulers/scheduler.ts'
import type { ImageRequest } from './image-request.ts'
import type { ModelSpec } from './model-spec.ts'
import { ParameterError } from './parameter-error.ts'
import { constructedSchedulerConfig } from './scheduler-config.ts'
import { noisesImage, stepRange, takesImage } from './step-range.ts'

/** How a request will run: all of it that is known before its pictures are read and anything is drawn. */
export interface Opening {
  readonly request: ImageRequest
  readonly spec: ModelSpec
  readonly family: Family
  readonly scheduler: AnyScheduler
  readonly plan: Plan
  readonly options: StepOptions
  /** Dimensions of one row of the denoiser's call. */
  readonly shape: readonly number[]
  /** The part of plan.timesteps that the loop runs. */
  readonly begin: number
  readonly end: number
  readonly strength: number
}

/**
 * Chooses the scheduler, plans its steps and cuts them to what the request runs.
 * @throws ParameterError for a size, strength or part of the schedule that cannot be, or a scheduler that cannot start from a
 *   picture; RangeError for a scheduler or schedule that cannot be
 */
export function openRequest(spec: ModelSpec, request: ImageRequest): Opening {
  for (const side of ['width', 'height'] as const) assertSide(spec, side, request[side])
  const family = FAMILIES[spec.family]
  const { scheduler, config } = schedulerFromConfig(
    request.scheduler,
    constructedSchedulerConfig(spec, request.task),
    request.schedulerConfig,
  )
  assertVariance(spec, request.scheduler, config)
  const plan: Plan = scheduler.plan(config, family.planRequest(spec, request, config))
  const range = stepRange(family, spec, request, plan, Number(config['num_train_timesteps'] ?? 1000))
  if (scheduler.addNoise === null && addsNoise(spec, request, range.strength)) {
    const message = `scheduler ${request.scheduler} cannot start from a picture; want another one.`
    throw new ParameterError('scheduler', message)
  }
  const shape = family.shape(spec, request.width, request.height)
  return { request, spec, family, scheduler, plan, options: { eta: request.eta }, shape, ...range }
}

function assertSide({ sizeMultiple, maxSide }: ModelSpec, side: 'width' | 'height', pixels: number): void {
  if (pixels < 1 || pixels % sizeMultiple !== 0) {
    throw new ParameterError(side, `${side} is ${pixels}; want a positive multiple of ${sizeMultiple}.`)
  }
  if (maxSide !== null && pixels > maxSide) {
    throw new ParameterError(side, `${side} is ${pixels}; this checkpoint goes up to ${maxSide}.`)
  }
}

/** diffusers' schedulers divide the model's output only where their config says so, and some want it divided. */
function assertVariance(
  { learnsVariance }: ModelSpec,
  scheduler: string,
  { variance_type: type }: Readonly<Record<string, unknown>>,
): void {
  const isLearned = type === 'learned' || type === 'learned_range'
  if (learnsVariance === isLearned) return
  const message = isLearned
    ? `has variance_type ${type}, but this checkpoint puts out no variance; want another variance_type.`
    : 'leaves no place for the variance that this checkpoint puts out; want variance_type learned_range, as DDPMScheduler has it.'
  throw new ParameterError('scheduler', `scheduler ${scheduler} ${message}`)
}

/** Whether a picture is brought to a noise level: to start from it, or to put back what an inpainting keeps of it. */
function addsNoise(spec: ModelSpec, request: ImageRequest, strength: number): boolean {
  if (request.task !== 'inpainting') return noisesImage(request)
  const isKept = spec.inChannels === spec.latentChannels
  return takesImage(request) && (isKept || (strength < 1 && noisesImage(request)))
}
