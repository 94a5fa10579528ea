import type { Raster } from '@darkroom/diffusion'
import sharp from 'sharp'

// Pictures are encoded side by side; threads inside each would only get into the denoiser's way.
sharp.concurrency(1)

/** The picture as PNG, off this thread. */
export async function encodePng({ data, width, height, channels }: Raster): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels } }).png().toBuffer()
}
