import { roundHalfEven } from '../schedulers/betas.ts'
import type { Family } from '../families/family.ts'
import { hasOwnSchedule } from '../families/schedule.ts'
import type { Plan } from '../schedulers/scheduler.ts'
import type { ImageRequest } from './image-request.ts'
import type { ModelSpec } from './model-spec.ts'
import { ParameterError } from './parameter-error.ts'

/** The part of a schedule that a request runs, as loop indices. */
export interface StepRange {
  readonly begin: number
  readonly end: number
  readonly strength: number
}

/**
 * Cuts a schedule to what strength, denoisingStart and denoisingEnd leave of it. diffusers `get_timesteps`.
 * @param trainSteps num_train_timesteps of the scheduler that runs
 * @throws ParameterError where nothing is left
 */
export function stepRange(
  family: Family,
  spec: ModelSpec,
  request: ImageRequest,
  plan: Plan,
  trainSteps: number,
): StepRange {
  const { denoisingStart, denoisingEnd } = request
  const strength = strengthOf(family, request)
  const { timesteps, order } = plan
  let begin = 0
  if (denoisingStart !== undefined) {
    const below = timesteps.filter((t) => t < cutoff(trainSteps, denoisingStart, 'denoisingStart')).length
    // Never between the two calls of one step.
    begin = timesteps.length - below - (order === 2 && below % 2 === 0 ? 1 : 0)
  } else if (noisesImage(request)) {
    begin = family.skippedSteps(spec, request, countedSteps(plan, request), strength) * order
  }
  const end =
    denoisingEnd === undefined
      ? timesteps.length
      : timesteps.filter((t) => t >= cutoff(trainSteps, denoisingEnd, 'denoisingEnd')).length
  if (begin < 0 || begin >= end) {
    const [name, value] = atFault(request, strength, begin < timesteps.length)
    const message = `${name} ${value} leaves none of the ${timesteps.length} steps; want another ${name} or more steps.`
    throw new ParameterError(name, message)
  }
  return { begin, end, strength }
}

function atFault(
  { denoisingStart, denoisingEnd }: ImageRequest,
  strength: number,
  begins: boolean,
): readonly [string, number] {
  if (denoisingEnd !== undefined && begins) return ['denoisingEnd', denoisingEnd]
  return denoisingStart === undefined ? ['strength', strength] : ['denoisingStart', denoisingStart]
}

/** @throws ParameterError */
export function strengthOf(family: Family, request: ImageRequest): number {
  const strength = request.strength ?? family.defaults[request.task]?.strength ?? 1
  if (!(strength > 0 && strength <= 1)) {
    throw new ParameterError('strength', `strength is ${strength}; want more than 0, at most 1.`)
  }
  return strength
}

/** What strength is a fraction of: with a schedule of the caller's own every entry counts. diffusers `retrieve_timesteps`. */
function countedSteps(plan: Plan, request: ImageRequest): number {
  return hasOwnSchedule(request) ? plan.timesteps.length : request.numInferenceSteps
}

/** The training timestep at a fraction of the schedule. */
function cutoff(trainSteps: number, fraction: number, name: string): number {
  if (!(fraction > 0 && fraction < 1)) {
    throw new ParameterError(name, `${name} is ${fraction}; want more than 0, less than 1.`)
  }
  return roundHalfEven(trainSteps - fraction * trainSteps)
}

/** Whether the task works on a picture, unless it goes on from another model's latents. */
export function takesImage({ task, image, denoisingStart }: ImageRequest): boolean {
  const isOfTask = task === 'image-to-image' || task === 'inpainting' || task === 'depth-to-image'
  return isOfTask && (denoisingStart === undefined || image !== undefined)
}

/** Whether that picture is brought to the first noise level; with denoisingStart it is at it. */
export function noisesImage(request: ImageRequest): boolean {
  return takesImage(request) && request.denoisingStart === undefined
}
