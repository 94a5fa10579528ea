import type { OutputFormat } from '@darkroom/proto'
import sharp from 'sharp'

/** As pictures have it. */
const QUALITY = 90

/** A preview, which workers send as a JPEG, in the format of the picture that it comes before. Off this thread. */
export async function previewAs(format: OutputFormat, jpeg: Uint8Array): Promise<Uint8Array> {
  switch (format) {
    case 'jpeg':
      return jpeg
    case 'png':
      return sharp(jpeg).png().toBuffer()
    case 'webp':
      return sharp(jpeg).webp({ quality: QUALITY }).toBuffer()
    default:
      return format satisfies never
  }
}
