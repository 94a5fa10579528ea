import { inflateRawSync } from 'node:zlib'

/** PKWARE's APPNOTE.TXT, 4.3.16. */
const END_OF_DIRECTORY = Buffer.from('PK\u0005\u0006')
const DEFLATED = 8

/**
 * The content of one file of a zip archive.
 * @throws RangeError where there is no such file, or where it is neither stored nor deflated
 */
export function zipEntry(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(END_OF_DIRECTORY)
  if (end === -1) throw new RangeError('this is no zip archive')
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const method = zip.readUInt16LE(at + 10)
    const bytes = zip.readUInt32LE(at + 20)
    const nameLength = zip.readUInt16LE(at + 28)
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      const local = zip.readUInt32LE(at + 42)
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
      const content = zip.subarray(start, start + bytes)
      if (method === 0) return content
      if (method === DEFLATED) return inflateRawSync(content)
      throw new RangeError(`'${name}' is compressed by method ${method}`)
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  throw new RangeError(`the archive has no '${name}'`)
}
