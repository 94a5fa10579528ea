import sharp from 'sharp'
import { DarkroomError } from './errors.ts'
import { textsOfExif } from './exif.ts'
import type { PictureTexts } from './exif.ts'

const FORMATS = ['png', 'jpeg', 'webp']

/**
 * What a picture says of itself; nothing where a program left it out when it saved the file.
 * @throws DarkroomError UNSUPPORTED_MEDIA_TYPE for a file that is no PNG, JPEG or WebP
 */
export async function readPictureTexts(file: Uint8Array): Promise<Partial<PictureTexts>> {
  try {
    const { format, comments = [], exif } = await sharp(file, { limitInputPixels: false }).metadata()
    if (!FORMATS.includes(format)) throw new TypeError(`it is ${format}`)
    if (format !== 'png') return exif === undefined ? {} : textsOfExif(exif)
    return Object.fromEntries(comments.map(({ keyword, text }) => [keyword, text]))
  } catch (cause) {
    throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', 'this is no PNG, JPEG or WebP, or it is broken', { cause })
  }
}
