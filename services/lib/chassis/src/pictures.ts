import sharp from 'sharp'
import type { Sharp } from 'sharp'
import { DarkroomError } from './errors.ts'

/** What an input picture may be at most. */
export const PICTURE_LIMITS = {
  bytes: 20 * 2 ** 20,
  pixels: 4096 * 4096,
  /** Resampling works along whole rows and columns: one that is millions of pixels long stalls it, however few there are. */
  side: 16_384,
} as const

/** How a file of each format begins; -1 is any byte. */
const SIGNATURES: Readonly<Record<string, readonly number[]>> = {
  'image/png': [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  'image/jpeg': [0xff, 0xd8, 0xff],
  'image/webp': [0x52, 0x49, 0x46, 0x46, -1, -1, -1, -1, 0x57, 0x45, 0x42, 0x50],
}

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
  const contentType = contentTypeOf(bytes)
  const { width, height, pages = 1, autoOrient } = await headerOf(bytes)
  if (pages > 1) {
    throw new DarkroomError('INVALID_REQUEST', `the picture has ${pages} frames; want one that does not move`)
  }
  if (Math.max(width, height) > PICTURE_LIMITS.side) {
    throw new DarkroomError(
      'PAYLOAD_TOO_LARGE',
      `the picture is ${width}x${height}; want at most ${PICTURE_LIMITS.side} pixels a side`,
    )
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

/**
 * The mask that diffusers wants (white is repainted) of one as OpenAI has it: transparent places are repainted. A picture without
 * alpha is a mask already, and comes back as it is.
 * @throws DarkroomError as `inspectPicture`, or INVALID_REQUEST for one that is broken
 */
export async function alphaAsMask(bytes: Uint8Array): Promise<Uint8Array> {
  await inspectPicture(bytes)
  try {
    if (!(await open(bytes).metadata()).hasAlpha) return bytes
    return await open(bytes).autoOrient().extractChannel('alpha').negate().png().toBuffer()
  } catch (cause) {
    throw new DarkroomError('INVALID_REQUEST', 'the mask is broken: it cannot be decoded to its end', { cause })
  }
}

/** What a file is by its first bytes: no decoder but those of the three formats ever sees a caller's bytes. */
function contentTypeOf(bytes: Uint8Array): string {
  const found = Object.entries(SIGNATURES).find(([, signature]) =>
    signature.every((byte, i) => byte === -1 || byte === bytes[i]),
  )
  if (found !== undefined) return found[0]
  const message = 'this is no picture of a format that is taken; want PNG, JPEG or WebP'
  throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', message)
}

async function headerOf(bytes: Uint8Array) {
  try {
    return await open(bytes).metadata()
  } catch (cause) {
    throw new DarkroomError('INVALID_REQUEST', 'the picture is broken: its header cannot be read', { cause })
  }
}

function open(bytes: Uint8Array): Sharp {
  return sharp(bytes, { limitInputPixels: false, failOn: 'error', ignoreIcc: true, pages: 1 })
}
