import { DarkroomError } from '@darkroom/chassis'
import { TASKS } from '@darkroom/diffusion'
import type { TaskName } from '@darkroom/diffusion'
import type { KnownCheckpoint } from '../checkpoints/known-checkpoint.ts'
import type { InputPicture } from '../pictures/input-pictures.ts'
import { shown } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'
import type { BatchPictures } from './batch-pictures.ts'
import type { ItemInput } from './item-schema.ts'

/** Fields of an item that hold a picture. */
const PICTURE_FIELDS = ['image', 'maskImage', 'depthMap'] as const
type PictureField = (typeof PICTURE_FIELDS)[number]
/** By task: those that it takes. */
const TAKEN = Object.fromEntries(
  Object.entries(TASKS).map(([task, { parameters }]) => [
    task,
    PICTURE_FIELDS.filter((field) => Object.hasOwn(parameters, field)),
  ]),
) as unknown as Readonly<Record<TaskName, readonly PictureField[]>>
type ItemPictures = Readonly<Partial<Record<PictureField, InputPicture>>>

/** An item's pictures as far as they are usable, and what is wrong with the others. */
export interface ExaminedPictures {
  readonly pictures: ItemPictures
  readonly problems: readonly Problem[]
}

/** Those of the pictures that the task takes, where all of them are known; null where one must be examined first. */
export function knownPictures(item: ItemInput, task: TaskName, known: BatchPictures): ExaminedPictures | null {
  const pictures: Partial<Record<PictureField, InputPicture>> = {}
  for (const field of TAKEN[task]) {
    const reference = item[field]
    if (reference === undefined) continue
    const picture = known.get(reference)
    if (picture === undefined) return null
    pictures[field] = picture
  }
  return { pictures, problems: [] }
}

/**
 * Holds the item's pictures, all or those that a task takes, against the limits. Nothing is stored.
 * @throws DarkroomError STORE_UNAVAILABLE
 */
export async function examinePictures(
  item: ItemInput,
  known: BatchPictures,
  task?: TaskName,
): Promise<ExaminedPictures> {
  const pictures: Partial<Record<PictureField, InputPicture>> = {}
  const problems: Problem[] = []
  for (const field of task === undefined ? PICTURE_FIELDS : TAKEN[task]) {
    const reference = item[field]
    if (reference === undefined) continue
    try {
      pictures[field] = known.get(reference) ?? (await known.examine(reference))
    } catch (reason) {
      const { code, message } = DarkroomError.from(reason)
      if (!REFUSALS.has(code)) throw reason
      problems.push({ field, value: shown(reference), message })
    }
  }
  return { pictures, problems }
}

/** The keys of the pictures, as the end of a line. */
export function pictureKeys(pictures: ItemPictures): string {
  return Object.entries(pictures)
    .map(([field, { key }]) => `,"${field}":"${key}"`)
    .join('')
}

const REFUSALS: ReadonlySet<string> = new Set([
  'INVALID_REQUEST',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'NOT_FOUND',
])

/** What a task's pictures lack. */
export function pictureProblems(
  task: TaskName,
  item: ItemInput,
  { image, maskImage }: ItemPictures,
  { name, description }: KnownCheckpoint,
): readonly Problem[] {
  const problems: Problem[] = []
  if (item.image === undefined) problems.push({ field: 'image', message: `is required: ${task} starts from a picture` })
  if (task === 'inpainting' && item.maskImage === undefined) {
    problems.push({ field: 'maskImage', message: 'is required: white is repainted, black stays' })
  }
  if (task === 'depth-to-image' && item.depthMap === undefined && !description.hasDepthEstimator) {
    problems.push({ field: 'depthMap', message: `is required: ${name} has no model that estimates depth` })
  }
  if (item.paddingMaskCrop !== undefined && image !== undefined && maskImage !== undefined) {
    const [size, wanted] = [maskImage, image].map(({ width, height }) => `${width}x${height}`)
    const message = `is ${size} but the image ${wanted}: with paddingMaskCrop both must have one size`
    if (size !== wanted) problems.push({ field: 'maskImage', value: shown(item.maskImage), message })
  }
  return problems
}
