import sharp from 'sharp'
import type { Preview } from '../engine/messages.ts'

const MAX_SIDE = 512
const QUALITY = 80

/**
 * A preview as JPEG, off this thread: in the shape of the finished picture, at most 512 pixels a side. A sketch has one pixel
 * for each of the latents' and is enlarged.
 */
export async function encodePreview({
  picture: { data, ...raw },
  width,
  height,
}: Pick<Preview, 'picture' | 'width' | 'height'>): Promise<Uint8Array> {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height))
  const size = {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  }
  return sharp(data, { raw })
    .resize({ ...size, fit: 'fill', kernel: 'cubic' })
    .jpeg({ quality: QUALITY })
    .toBuffer()
}
