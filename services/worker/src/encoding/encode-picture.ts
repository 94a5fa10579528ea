import { Limit, withJpegExif, withWebpExif } from '@darkroom/chassis'
import type { PictureTexts } from '@darkroom/chassis'
import type { Raster } from '@darkroom/diffusion'
import type { OutputFormat } from '@darkroom/proto'
import os from 'node:os'
import sharp from 'sharp'
import type { PngEncoder } from './png-encoder.ts'

const QUALITY = 90

// Pictures are encoded side by side; threads inside each would only get into the denoiser's way.
sharp.concurrency(1)
/** Of libuv's threads, which files and names are also read on: main.ts gives them more than this. */
const lossy = new Limit(os.availableParallelism())

/**
 * A finished picture as a file with its texts, off this thread; the same bytes for the same picture and texts.
 * JPEG keeps the full resolution of colours.
 * @param picture for PNG its memory goes to another thread, and is gone here
 * @throws DarkroomError RENDER_FAILED for texts that are too long for a JPEG
 */
export async function encodePicture(
  png: PngEncoder,
  picture: Raster,
  format: OutputFormat,
  texts: PictureTexts,
): Promise<Buffer> {
  if (format === 'png') return png.encode(picture, texts)
  const { data, ...raw } = picture
  const pixels = sharp(data, { raw })
  switch (format) {
    case 'jpeg':
      pixels.jpeg({ quality: QUALITY, chromaSubsampling: '4:4:4' })
      return withJpegExif(await lossy.run(() => pixels.toBuffer()), texts)
    case 'webp':
      return withWebpExif(await lossy.run(() => pixels.webp({ quality: QUALITY }).toBuffer()), picture, texts)
    default:
      return format satisfies never
  }
}
