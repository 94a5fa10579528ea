import sharp from 'sharp'
import type { RenderedRgb } from '../engine/messages.ts'

/** The picture as PNG, off this thread. */
export async function encodePng({ rgb, width, height }: RenderedRgb): Promise<Buffer> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}
