import sharp from 'sharp'
import { crc32 } from 'node:zlib'
import { DarkroomError } from './errors.ts'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const IHDR_END = SIGNATURE.length + 25

/**
 * The PNG with text chunks behind its header, by keyword: tEXt for ASCII, as A1111 writes it, else iTXt.
 * PNG specification, third edition, 11.3.3.
 * @param texts keywords are 1 to 79 characters of ASCII
 */
export function withPngText(png: Buffer, texts: Readonly<Record<string, string>>): Buffer {
  const chunks = Object.entries(texts).map(([keyword, text]) => {
    const bytes = Buffer.from(text, 'utf8')
    const isAscii = bytes.every((byte) => byte < 0x80)
    // iTXt: not compressed, without language or translated keyword.
    const head = Buffer.from(`${keyword}\0${isAscii ? '' : '\0\0\0\0'}`, 'latin1')
    return chunk(isAscii ? 'tEXt' : 'iTXt', Buffer.concat([head, bytes]))
  })
  return Buffer.concat([png.subarray(0, IHDR_END), ...chunks, png.subarray(IHDR_END)])
}

/**
 * The texts of a PNG by keyword.
 * @throws DarkroomError UNSUPPORTED_MEDIA_TYPE for a file that is no PNG
 */
export async function readPngText(png: Uint8Array): Promise<Readonly<Record<string, string>>> {
  if (!SIGNATURE.equals(png.subarray(0, SIGNATURE.length))) {
    throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', 'this is no PNG')
  }
  try {
    const { comments = [] } = await sharp(png, { limitInputPixels: false }).metadata()
    return Object.fromEntries(comments.map(({ keyword, text }) => [keyword, text]))
  } catch (cause) {
    throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', 'this PNG is broken', { cause })
  }
}

function chunk(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(data.length, 0)
  head.write(type, 4, 'latin1')
  const tail = Buffer.alloc(4)
  tail.writeUInt32BE(crc32(data, crc32(head.subarray(4))), 0)
  return Buffer.concat([head, data, tail])
}
