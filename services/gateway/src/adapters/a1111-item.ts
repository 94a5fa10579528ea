import { SAMPLERS } from '@darkroom/diffusion'
import { shown } from '../field-problems.ts'
import type { ItemInput } from '../ingest/item-schema.ts'
import type { Problem } from '@darkroom/chassis'

/** A1111's names of an item's fields. */
const FIELDS: Readonly<Record<string, string>> = {
  prompt: 'prompt',
  negative_prompt: 'negativePrompt',
  steps: 'numInferenceSteps',
  cfg_scale: 'guidanceScale',
  width: 'width',
  height: 'height',
  eta: 'eta',
  denoising_strength: 'strength',
}
const NAMES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(FIELDS).map(([a1111, native]) => [native, a1111])),
  scheduler: 'sampler_name',
  checkpoint: 'override_settings.sd_model_checkpoint',
  image: 'init_images',
  maskImage: 'mask',
}
/** What would change the picture and is not done here. A1111's clients send the others of its fields in any case. */
const NOT_DONE = ['enable_hr', 'tiling', 'restore_faces', 'script_name', 'refiner_checkpoint', 'subseed_strength']
const MAX_SEED = 2 ** 32

export type A1111Body = Readonly<Record<string, unknown>>

/** A body of /sdapi/v1/txt2img or img2img in the farm's words. */
export function a1111Item(
  body: A1111Body,
  task: 'txt2img' | 'img2img',
): { readonly item: ItemInput; readonly problems: readonly Problem[] } {
  const problems: Problem[] = NOT_DONE.filter((field) => Boolean(body[field])).map((field) => ({
    field,
    value: shown(body[field]),
    message: 'is not done here: leave it out',
  }))
  const item: Record<string, unknown> = { seed: seedOf(body['seed']), numImages: imagesOf(body) }
  for (const [a1111, native] of Object.entries(FIELDS)) {
    const value = body[a1111]
    if (value !== undefined && value !== null && (a1111 !== 'denoising_strength' || task === 'img2img'))
      item[native] = value
  }
  const checkpoint = (Object(body['override_settings']) as A1111Body)['sd_model_checkpoint']
  if (checkpoint !== undefined && checkpoint !== '') item['checkpoint'] = checkpoint
  const scheduler = samplerOf(body)
  if (scheduler !== undefined) item['scheduler'] = scheduler
  if (task === 'img2img') {
    const [image] = Array.isArray(body['init_images']) ? (body['init_images'] as readonly unknown[]) : []
    item['image'] = asDataUrl(image)
    if (typeof body['mask'] === 'string') item['maskImage'] = asDataUrl(body['mask'])
    item['task'] = item['maskImage'] === undefined ? 'image-to-image' : 'inpainting'
  }
  return { item, problems }
}

/** A problem of an item with the name that A1111 has for its field. */
export function inA1111Names(problem: Problem): Problem {
  const name = problem.field === undefined ? undefined : NAMES[problem.field]
  return name === undefined ? problem : { ...problem, field: name }
}

/** As A1111's own clients list them. */
export const A1111_SAMPLERS = SAMPLERS.flatMap(({ a1111, comfyui }) =>
  a1111 === undefined ? [] : [{ name: a1111, aliases: comfyui === undefined ? [] : [comfyui], options: {} }],
)

function samplerOf({ sampler_name: name, sampler_index: index, scheduler }: A1111Body): unknown {
  const sampler = name ?? index
  if (typeof sampler !== 'string' || sampler === '') return undefined
  const isNamed = typeof scheduler === 'string' && !['', 'automatic'].includes(scheduler.toLowerCase())
  return isNamed ? `${sampler} ${scheduler}` : sampler
}

/** -1 is a random one. */
function seedOf(seed: unknown): unknown {
  return seed === undefined || seed === null || seed === -1 ? Math.floor(Math.random() * MAX_SEED) : seed
}

function imagesOf({ batch_size: size, n_iter: rounds }: A1111Body): unknown {
  const [a, b] = [size ?? 1, rounds ?? 1]
  return typeof a === 'number' && typeof b === 'number' ? a * b : a
}

function asDataUrl(picture: unknown): unknown {
  if (typeof picture !== 'string' || picture.startsWith('data:')) return picture
  const types: Readonly<Record<string, string>> = { '/9j/': 'image/jpeg', UklG: 'image/webp' }
  return `data:${types[picture.slice(0, 4)] ?? 'image/png'};base64,${picture}`
}
