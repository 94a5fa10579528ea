import { DarkroomError } from '@darkroom/chassis'
import { isTaskName, toLuminance } from '@darkroom/diffusion'
import type { DepthMap, Raster } from '@darkroom/diffusion'
import { parseOutputFormat } from '@darkroom/proto'
import type { Item, OutputFormat } from '@darkroom/proto'
import type { RenderRequest } from '../engine/messages.ts'

/** Fields of an item that name a picture. */
export type PictureField = 'image' | 'maskImage' | 'depthMap'

/** What an item's fields point to. */
export interface ItemPictures {
  readonly image?: Raster
  readonly maskImage?: Raster
  readonly depthMap?: DepthMap
}

/**
 * Image `n` of an item for the engine. What the item leaves unset is left out, so that diffusers' default stands.
 * @throws DarkroomError RENDER_FAILED for a task or a pair of numbers that this worker cannot read
 */
export function requestOf(item: Item, n: number, pictures: ItemPictures): RenderRequest {
  const { task, refiner, previewEvery } = item
  if (!isTaskName(task)) throw new DarkroomError('RENDER_FAILED', `this worker does not know the task '${task}'`)
  return {
    task,
    prompt: item.prompt,
    negativePrompt: item.negativePrompt ?? null,
    safetyChecker: item.safetyChecker !== 'off',
    width: item.width,
    height: item.height,
    scheduler: item.scheduler,
    schedulerConfig: item.schedulerConfig ?? {},
    numInferenceSteps: item.numInferenceSteps,
    guidanceScale: item.guidanceScale,
    eta: item.eta,
    seed: Number(item.seed) + n,
    ...pictures,
    ...(Object.keys(pictures).length > 0 && { picturesId: JSON.stringify(pictureKeysOf(item)) }),
    ...(refiner !== '' && { refiner }),
    ...(previewEvery > 0 && {
      preview: { every: previewEvery, mode: item.previewMode === 'decode' ? 'decode' : 'estimate' },
    }),
    ...whatIsSet({
      timesteps: listOf(item.timesteps),
      sigmas: listOf(item.sigmas),
      guidanceRescale: item.guidanceRescale,
      originalInferenceSteps: item.originalInferenceSteps,
      strength: item.strength,
      paddingMaskCrop: item.paddingMaskCrop,
      maxSequenceLength: item.maxSequenceLength,
      originalSize: pairOf('originalSize', item.originalSize),
      cropsCoordsTopLeft: pairOf('cropsCoordsTopLeft', item.cropsCoordsTopLeft),
      targetSize: pairOf('targetSize', item.targetSize),
      aestheticScore: item.aestheticScore,
      negativeAestheticScore: item.negativeAestheticScore,
      denoisingEnd: item.denoisingEnd,
    }),
  }
}

/**
 * What an item's pictures are written as.
 * @throws DarkroomError RENDER_FAILED for a format that this worker cannot write
 */
export function formatOf({ outputFormat }: Item): OutputFormat {
  const format = parseOutputFormat(outputFormat)
  if (format !== null) return format
  throw new DarkroomError('RENDER_FAILED', `this worker does not know the outputFormat '${outputFormat}'`)
}

/** Object keys of an item's pictures by field. */
export function pictureKeysOf({ image, maskImage, depthMap }: Item): Partial<Record<PictureField, string>> {
  return whatIsSet({ image: keyOf(image), maskImage: keyOf(maskImage), depthMap: keyOf(depthMap) })
}

/** What the keys' pictures are to the engine: once for all images of the item. */
export function itemPicturesOf({
  depthMap,
  ...pictures
}: Readonly<Partial<Record<PictureField, Raster>>>): ItemPictures {
  return depthMap === undefined ? pictures : { ...pictures, depthMap: depthMapOf(depthMap) }
}

/** Lighter is nearer, 0 … 1; in memory that the engine thread shares. */
function depthMapOf(picture: Raster): DepthMap {
  const { width, height, data: levels } = toLuminance(picture)
  const data = new Float32Array(new SharedArrayBuffer(4 * levels.length))
  for (let p = 0; p < levels.length; p++) data[p] = levels[p]! / 255
  return { width, height, data }
}

type Set<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function whatIsSet<T extends object>(fields: T): Set<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Set<T>
}

function keyOf(key: string): string | undefined {
  return key === '' ? undefined : key
}

function listOf(values: readonly number[]): readonly number[] | undefined {
  return values.length === 0 ? undefined : values
}

function pairOf(field: string, values: readonly number[]): readonly [number, number] | undefined {
  if (values.length === 0) return undefined
  const [first, second] = values
  if (first === undefined || second === undefined || values.length > 2) {
    throw new DarkroomError('RENDER_FAILED', `${field} is [${values.join(', ')}]; want two numbers`)
  }
  return [first, second]
}
