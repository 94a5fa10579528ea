import sharp from 'sharp'
import type { RenderedRgb } from '../engine/messages.ts'

// Pictures are encoded side by side; threads inside each would only get into the denoiser's way.
sharp.concurrency(1)

/** The picture as PNG, off this thread. */
export async function encodePng({ rgb, width, height }: RenderedRgb): Promise<Buffer> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}
