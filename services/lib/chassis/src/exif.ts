/** What a picture says of itself: keywords of a PNG's texts, tags of a JPEG's and a WebP's EXIF. */
export interface PictureTexts {
  /** JSON that renders the picture again; ImageDescription in EXIF, which is ASCII: other letters are escaped there. */
  readonly darkroom: string
  /** As A1111 writes it; UserComment in EXIF. */
  readonly parameters: string
}

const TAGS = { imageDescription: 0x010e, exifIfd: 0x8769, exifVersion: 0x9000, userComment: 0x9286 } as const
/** Codes of CIPA DC-008 (Exif 2.32), 4.6.2, with their bytes. */
const TYPES = { ascii: 2, long: 4, undefined: 7 } as const
const BYTES_OF_TYPE = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8]
const HEADER_BYTES = 8
const ENTRY_BYTES = 12
const ASCII = Buffer.from('ASCII\0\0\0')
const UNICODE = Buffer.from('UNICODE\0')

interface Entry {
  readonly tag: number
  readonly type: number
  readonly bytes: Uint8Array
}

/** EXIF with the two texts, in big-endian order, as A1111 writes it: its UserComment is UTF-16 where it is not ASCII. */
export function exifOf({ darkroom, parameters }: PictureTexts): Buffer {
  const header = Buffer.from('MM\0*\0\0\0\b', 'latin1')
  const description = Buffer.from(`${inAscii(darkroom)}\0`, 'latin1')
  // As long whatever it says: it must name the place of the directory behind it.
  const first = (exifAt: number): Buffer =>
    directory(HEADER_BYTES, [
      { tag: TAGS.imageDescription, type: TYPES.ascii, bytes: description },
      { tag: TAGS.exifIfd, type: TYPES.long, bytes: long(exifAt) },
    ])
  const exifAt = HEADER_BYTES + first(0).length
  return Buffer.concat([
    header,
    first(exifAt),
    directory(exifAt, [
      { tag: TAGS.exifVersion, type: TYPES.undefined, bytes: Buffer.from('0232') },
      { tag: TAGS.userComment, type: TYPES.undefined, bytes: commentOf(parameters) },
    ]),
  ])
}

/**
 * The two texts, where EXIF has them, in whatever order of bytes a program left it.
 * @param exif with or without the `Exif\0\0` that JPEG puts before it
 * @throws RangeError for EXIF that points beyond its end
 */
export function textsOfExif(exif: Buffer): Partial<PictureTexts> {
  const tiff = exif.toString('latin1', 0, 6) === 'Exif\0\0' ? exif.subarray(6) : exif
  const isLittle = tiff.toString('latin1', 0, 2) === 'II'
  const uint = (at: number, bytes: number, from = tiff): number =>
    isLittle ? from.readUIntLE(at, bytes) : from.readUIntBE(at, bytes)
  const find = (directoryAt: number, tag: number): Buffer | null => {
    for (let entry = 0; entry < uint(directoryAt, 2); entry++) {
      const at = directoryAt + 2 + entry * ENTRY_BYTES
      if (uint(at, 2) !== tag) continue
      const bytes = uint(at + 4, 4) * (BYTES_OF_TYPE[uint(at + 2, 2)] ?? 1)
      const valueAt = bytes > 4 ? uint(at + 8, 4) : at + 8
      if (valueAt + bytes > tiff.length) throw new RangeError('the EXIF is cut off')
      return tiff.subarray(valueAt, valueAt + bytes)
    }
    return null
  }
  const firstAt = uint(4, 4)
  const description = find(firstAt, TAGS.imageDescription)
  const pointer = find(firstAt, TAGS.exifIfd)
  const comment = pointer === null ? null : find(uint(0, 4, pointer), TAGS.userComment)
  return {
    ...(description !== null && { darkroom: description.toString('utf8').replace(/\0+$/, '') }),
    ...(comment !== null && { parameters: textOfComment(comment) }),
  }
}

/** A directory that begins at `at`, and behind it the values that do not fit into its entries. */
function directory(at: number, entries: readonly Entry[]): Buffer {
  const head = Buffer.alloc(2 + entries.length * ENTRY_BYTES + 4)
  head.writeUInt16BE(entries.length, 0)
  const values: Uint8Array[] = []
  let valueAt = at + head.length
  for (const [i, { tag, type, bytes }] of entries.entries()) {
    const entryAt = 2 + i * ENTRY_BYTES
    head.writeUInt16BE(tag, entryAt)
    head.writeUInt16BE(type, entryAt + 2)
    head.writeUInt32BE(bytes.length / BYTES_OF_TYPE[type]!, entryAt + 4)
    if (bytes.length <= 4) {
      head.set(bytes, entryAt + 8)
      continue
    }
    head.writeUInt32BE(valueAt, entryAt + 8)
    const padded = bytes.length % 2 === 0 ? [bytes] : [bytes, Buffer.alloc(1)]
    values.push(...padded)
    valueAt += bytes.length + (bytes.length % 2)
  }
  return Buffer.concat([head, ...values])
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function inAscii(json: string): string {
  return json.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function commentOf(text: string): Buffer {
  const isAscii = Buffer.byteLength(text) === text.length
  return isAscii
    ? Buffer.concat([ASCII, Buffer.from(text, 'latin1')])
    : Buffer.concat([UNICODE, Buffer.from(text, 'utf16le').swap16()])
}

function textOfComment(comment: Buffer): string {
  const [code, text] = [comment.subarray(0, 8), comment.subarray(8)]
  if (!code.equals(UNICODE)) return text.toString('utf8')
  return Buffer.from(text.subarray(0, text.length - (text.length % 2)))
    .swap16()
    .toString('utf16le')
}
