import sharp from 'sharp'
import type { Sharp } from 'sharp'
import { DarkroomError } from './errors.ts'

/** What an input picture may be at most. */
export const PICTURE_LIMITS = {
  bytes: 20 * 2 ** 20,
  pixels: 4096 * 4096,
} as const

const FORMATS: Readonly<Record<string, string>> = { png: 'image/png', jpeg: 'image/jpeg', webp: 'image/webp' }

export interface PictureFacts {
  /** image/png, image/jpeg or image/webp. */
  readonly contentType: string
  /** Pixels, upright. */
  readonly width: number
  readonly height: number
}

/** 8-bit RGB, rows from the top. */
export interface RgbPicture {
  readonly width: number
  readonly height: number
  readonly channels: 3
  /** [height, width, 3] */
  readonly data: Uint8Array
}

/**
 * Reads what a picture's header says, and holds it against the limits before anything is decoded.
 * @throws DarkroomError INVALID_REQUEST, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE
 */
export async function inspectPicture(bytes: Uint8Array): Promise<PictureFacts> {
  if (bytes.length > PICTURE_LIMITS.bytes) {
    throw new DarkroomError(
      'PAYLOAD_TOO_LARGE',
      `the picture has ${bytes.length} bytes; want at most ${PICTURE_LIMITS.bytes}`,
    )
  }
  const { format, width, height, pages = 1, autoOrient } = await headerOf(bytes)
  const contentType = FORMATS[format]
  if (contentType === undefined) {
    throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', `the picture is ${format}; want PNG, JPEG or WebP`)
  }
  if (pages > 1) {
    throw new DarkroomError('INVALID_REQUEST', `the picture has ${pages} frames; want one that does not move`)
  }
  if (width * height > PICTURE_LIMITS.pixels) {
    throw new DarkroomError(
      'PAYLOAD_TOO_LARGE',
      `the picture is ${width}x${height}; want at most ${PICTURE_LIMITS.pixels} pixels`,
    )
  }
  return { contentType, width: autoOrient.width, height: autoOrient.height }
}

/**
 * Decodes a picture within the limits as Pillow reads it for diffusers: upright, RGB without alpha or colour profile.
 * @throws DarkroomError as `inspectPicture`, or INVALID_REQUEST for one that is broken
 */
export async function decodePicture(bytes: Uint8Array): Promise<RgbPicture> {
  await inspectPicture(bytes)
  try {
    const { data, info } = await open(bytes)
      .autoOrient()
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const { width, height } = info
    const rgb =
      info.channels === 3
        ? Uint8Array.from(data)
        : Uint8Array.from({ length: 3 * data.length }, (_, j) => data[Math.floor(j / 3)]!)
    return { width, height, channels: 3, data: rgb }
  } catch (cause) {
    throw new DarkroomError('INVALID_REQUEST', 'the picture is broken: it cannot be decoded to its end', { cause })
  }
}

async function headerOf(bytes: Uint8Array) {
  try {
    return await open(bytes).metadata()
  } catch (cause) {
    throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', 'this is no picture that can be read; want PNG, JPEG or WebP', {
      cause,
    })
  }
}

function open(bytes: Uint8Array): Sharp {
  return sharp(bytes, { limitInputPixels: false, failOn: 'error', ignoreIcc: true, pages: 1 })
}
