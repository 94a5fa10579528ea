import { DarkroomError } from './errors.ts'
import { exifOf } from './exif.ts'
import type { PictureTexts } from './exif.ts'

/** Of a JPEG segment, the two of its length among them. */
const MAX_SEGMENT_BYTES = 0xffff
const RIFF_HEADER_BYTES = 12
const WEBP_HAS_EXIF = 0x08

/**
 * A JPEG with its texts as EXIF, behind its JFIF header. CIPA DC-008, 4.7.2.
 * @throws DarkroomError RENDER_FAILED for texts that are too long for a JPEG
 */
export function withJpegExif(jpeg: Buffer, texts: PictureTexts): Buffer {
  const payload = Buffer.concat([Buffer.from('Exif\0\0'), exifOf(texts)])
  const segmentBytes = payload.length + 2
  if (segmentBytes > MAX_SEGMENT_BYTES) {
    const message = `a JPEG has room for ${MAX_SEGMENT_BYTES} bytes on how it was rendered, these are ${segmentBytes}: ask for png or webp`
    throw new DarkroomError('RENDER_FAILED', message)
  }
  const head = Buffer.from([0xff, 0xe1, segmentBytes >> 8, segmentBytes & 0xff])
  const isJfif = jpeg.readUInt16BE(2) === 0xffe0
  const end = isJfif ? 4 + jpeg.readUInt16BE(4) : 2
  return Buffer.concat([jpeg.subarray(0, end), head, payload, jpeg.subarray(end)])
}

/**
 * A plain lossy WebP as an extended one with its texts as EXIF. RFC 9649, 2.7.
 * @param size pixels
 */
export function withWebpExif(
  webp: Buffer,
  { width, height }: { readonly width: number; readonly height: number },
  texts: PictureTexts,
): Buffer {
  const extended = Buffer.alloc(10)
  extended[0] = WEBP_HAS_EXIF
  extended.writeUIntLE(width - 1, 4, 3)
  extended.writeUIntLE(height - 1, 7, 3)
  const pictures = webp.subarray(RIFF_HEADER_BYTES)
  const body = [Buffer.from('WEBP'), ...riffChunk('VP8X', extended), pictures, ...riffChunk('EXIF', exifOf(texts))]
  return Buffer.concat(riffChunk('RIFF', Buffer.concat(body)))
}

function riffChunk(name: string, data: Buffer): Buffer[] {
  const head = Buffer.alloc(8)
  head.write(name, 'latin1')
  head.writeUInt32LE(data.length, 4)
  return [head, data, Buffer.alloc(data.length % 2)]
}
