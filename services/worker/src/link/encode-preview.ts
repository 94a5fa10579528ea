import type { Raster } from '@darkroom/diffusion'
import sharp from 'sharp'

const MAX_SIDE = 512
const QUALITY = 80

/**
 * A preview as JPEG, off this thread: in the shape of the finished picture, at most 512 pixels a side. A sketch has one pixel
 * for each of the latents' and is enlarged.
 * @param width pixels of the finished picture
 */
export async function encodePreview(
  { data, channels, ...raw }: Raster,
  width: number,
  height: number,
): Promise<Uint8Array> {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height))
  const size = {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  }
  return sharp(data, { raw: { ...raw, channels } })
    .resize({ ...size, fit: 'fill', kernel: 'cubic' })
    .jpeg({ quality: QUALITY })
    .toBuffer()
}
