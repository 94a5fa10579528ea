import { DarkroomError } from '@darkroom/chassis'
import type { TaskName } from '@darkroom/diffusion'
import type { KnownCheckpoint } from '../checkpoints/known-checkpoint.ts'
import type { InputPictures, StoredPicture } from '../pictures/input-pictures.ts'
import { shown } from '../field-problems.ts'
import type { FieldProblem } from '../field-problems.ts'
import type { ItemInput } from './item-schema.ts'

/** Fields of an item that hold a picture. */
const PICTURE_FIELDS = ['image', 'maskImage', 'depthMap'] as const
type PictureField = (typeof PICTURE_FIELDS)[number]
export type ItemPictures = Readonly<Partial<Record<PictureField, StoredPicture>>>

/** The item's pictures as far as they are known; null where one must be adopted first. */
export function knownPictures(item: ItemInput, pictures: InputPictures): ItemPictures | null {
  const known: Partial<Record<PictureField, StoredPicture>> = {}
  for (const field of PICTURE_FIELDS) {
    const reference = item[field]
    if (reference === undefined) continue
    const picture = pictures.get(reference)
    if (picture === undefined) return null
    known[field] = picture
  }
  return known
}

/**
 * The same item with keys for its pictures, which are then in the bucket; or what is wrong with them.
 * @throws DarkroomError STORE_UNAVAILABLE
 */
export async function adoptPictures(
  item: ItemInput,
  pictures: InputPictures,
): Promise<{ readonly item: ItemInput } | { readonly problems: readonly FieldProblem[] }> {
  const adopted: Partial<Record<PictureField, string>> = {}
  const problems: FieldProblem[] = []
  for (const field of PICTURE_FIELDS) {
    const reference = item[field]
    if (reference === undefined) continue
    try {
      adopted[field] = (await pictures.adopt(reference)).key
    } catch (reason) {
      const { code, message } = DarkroomError.from(reason)
      if (!REFUSALS.has(code)) throw reason
      problems.push({ field, value: shown(reference), message })
    }
  }
  return problems.length > 0 ? { problems } : { item: { ...item, ...adopted } }
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
): readonly FieldProblem[] {
  const problems: FieldProblem[] = []
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
