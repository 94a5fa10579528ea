import type { KnownCheckpoint, ScheduleRequest, SchedulerSetup } from '../checkpoints/known-checkpoint.ts'
import { shown } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'
import type { ItemInput } from './item-schema.ts'

/** The ways to say how a schedule is spaced: one of them is enough. */
export const SCHEDULE_FIELDS = ['numInferenceSteps', 'timesteps', 'sigmas'] as const

export function hasSchedule(item: ItemInput): boolean {
  return item.numInferenceSteps !== undefined || item.timesteps !== undefined || item.sigmas !== undefined
}

/** Steps of the item's schedule, which is planned once; or what is wrong with it. */
export function plannedSteps(item: ItemInput, setup: SchedulerSetup, request: ScheduleRequest): number | Problem {
  const [spacing = 'numInferenceSteps', second] = SCHEDULE_FIELDS.filter((field) => item[field] !== undefined)
  if (second !== undefined) {
    const message = `${spacing} says already what the schedule is: leave one of them out`
    return { field: second, value: shown(item[second]), message }
  }
  const calls = setup.plan(request)
  if (typeof calls !== 'number') {
    const field = calls.field ?? spacing
    return { field, value: shown(request[field as keyof ScheduleRequest]), message: calls.message }
  }
  if (spacing === 'timesteps') return request.timesteps!.length
  return spacing === 'sigmas' ? calls : request.numInferenceSteps
}

/** What keeps a refiner from finishing what the item's checkpoint begins; null where nothing does. */
export function refinerProblem(
  item: ItemInput,
  request: ScheduleRequest,
  checkpoint: KnownCheckpoint,
  refiner: KnownCheckpoint | null,
): Problem | null {
  const { denoisingEnd } = item
  if (refiner === null) {
    if (denoisingEnd === undefined) return null
    const message = 'leaves the rest to a refiner: name one in refiner, or leave denoisingEnd out'
    return { field: 'denoisingEnd', value: denoisingEnd, message }
  }
  const refuse = (message: string): Problem => ({ field: 'refiner', value: shown(item.refiner), message })
  if (denoisingEnd === undefined) return refuse('want denoisingEnd too: the part of the schedule before the refiner')
  const [base, own] = [checkpoint.description, refiner.description]
  if (base.spec.family !== 'stable-diffusion-xl')
    return refuse(`${checkpoint.name} is no Stable Diffusion XL: leave it out`)
  if (request.task === 'inpainting') return refuse('inpainting takes none: leave it out')
  const fits =
    own.spec.family === base.spec.family &&
    own.tasks.includes('image-to-image') &&
    own.spec.latentChannels === base.spec.latentChannels &&
    own.spec.vaeScaleFactor === base.spec.vaeScaleFactor
  if (!fits) return refuse(`${refiner.name} cannot go on from ${checkpoint.name}: want a Stable Diffusion XL refiner`)
  const setup = refiner.scheduler(item.scheduler ?? base.scheduler.name, item.schedulerConfig)
  if (!('plan' in setup)) return refuse(`${refiner.name}: ${setup[0]!.message}`)
  const handedOver = { task: 'image-to-image', denoisingStart: denoisingEnd, denoisingEnd: undefined } as const
  const planned = setup.plan({ ...request, ...handedOver })
  return typeof planned === 'number' ? null : refuse(`${refiner.name}: ${planned.message}`)
}
