import { DarkroomError } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { RenderedImage } from '@darkroom/proto'
import type { CoreContext } from '../context.ts'

/** A picture of an answer as OpenAI has it, with what it was made with beside it. */
export interface ImageData {
  readonly url?: string
  readonly b64_json?: string
  readonly seed: number
  readonly nsfw_content_detected?: boolean
}

/** @param base of its address, such as https://farm.example.com */
export function imageAsUrl(context: CoreContext, batchId: string, image: RenderedImage, base: string): ImageData {
  return { url: base + context.imageUrls.of(batchId, image.name), ...noteOf(image) }
}

/** @throws DarkroomError NOT_FOUND, STORE_UNAVAILABLE */
export async function imageAsBase64(context: CoreContext, batchId: string, image: RenderedImage): Promise<ImageData> {
  return { b64_json: await base64Of(context, batchId, image), ...noteOf(image) }
}

/** @throws DarkroomError NOT_FOUND, STORE_UNAVAILABLE */
export async function base64Of({ store }: CoreContext, batchId: string, { name }: RenderedImage): Promise<string> {
  const bytes = await store.get(keys.image(batchId, name))
  if (bytes === null) throw new DarkroomError('NOT_FOUND', `the picture ${name} is gone`)
  return Buffer.from(bytes).toString('base64')
}

/** Letters of `base64Of`, without a look at the picture. */
export function base64Length({ bytes }: RenderedImage): number {
  return 4 * Math.ceil(bytes / 3)
}

export function noteOf({
  seed,
  nsfwContentDetected,
}: RenderedImage): Pick<ImageData, 'seed' | 'nsfw_content_detected'> {
  return { seed, ...(nsfwContentDetected !== undefined && { nsfw_content_detected: nsfwContentDetected }) }
}
