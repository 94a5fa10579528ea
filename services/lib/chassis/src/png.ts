import { crc32 } from 'node:zlib'

export const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const IHDR_END = PNG_SIGNATURE.length + 25

/** A chunk's bytes, in three pieces, so that a long one is copied once. PNG specification, third edition, 5.3. */
export function pngChunk(type: string, data: Uint8Array): readonly [Uint8Array, Uint8Array, Uint8Array] {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(data.length, 0)
  head.write(type, 4, 'latin1')
  const tail = Buffer.alloc(4)
  tail.writeUInt32BE(crc32(data, crc32(head.subarray(4))), 0)
  return [head, data, tail]
}

/**
 * The PNG with text chunks behind its header, by keyword: tEXt for ASCII, as A1111 writes it, else iTXt.
 * PNG specification, third edition, 11.3.3.
 * @param texts keywords are 1 to 79 characters of ASCII
 */
export function withPngText(png: Buffer, texts: Readonly<Record<string, string>>): Buffer {
  const chunks = Object.entries(texts).flatMap(([keyword, text]) => {
    const bytes = Buffer.from(text, 'utf8')
    const isAscii = bytes.every((byte) => byte < 0x80)
    // iTXt: not compressed, without language or translated keyword.
    const head = Buffer.from(`${keyword}\0${isAscii ? '' : '\0\0\0\0'}`, 'latin1')
    return pngChunk(isAscii ? 'tEXt' : 'iTXt', Buffer.concat([head, bytes]))
  })
  return Buffer.concat([png.subarray(0, IHDR_END), ...chunks, png.subarray(IHDR_END)])
}
