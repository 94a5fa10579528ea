import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { S3Error } from './s3-error.ts'

interface Digest {
  update(chunk: Uint8Array): void
  /** base64 of the big-endian digest. */
  finish(): string
}

function hashed(algorithm: string): Digest {
  const hash = createHash(algorithm)
  return { update: (chunk) => void hash.update(chunk), finish: () => hash.digest('base64') }
}

function crc32Digest(): Digest {
  let value = 0
  return { update: (chunk) => (value = crc32(chunk, value)), finish: () => bigEndian(value) }
}

const CRC32C = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  return c
})

function crc32cDigest(): Digest {
  let value = 0xffffffff
  return {
    update(chunk) {
      for (const byte of chunk) value = CRC32C[(value ^ byte) & 0xff]! ^ (value >>> 8)
    },
    finish: () => bigEndian((value ^ 0xffffffff) >>> 0),
  }
}

function bigEndian(value: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes.toString('base64')
}

/** Checksum headers and trailers by name. */
const ALGORITHMS: Record<string, () => Digest> = {
  'x-amz-checksum-crc32': crc32Digest,
  'x-amz-checksum-crc32c': crc32cDigest,
  'x-amz-checksum-sha1': () => hashed('sha1'),
  'x-amz-checksum-sha256': () => hashed('sha256'),
  'content-md5': () => hashed('md5'),
}

/** Follows a body and compares it with the checksums that came before or after it. */
export class BodyChecks {
  readonly #digests = new Map<string, Digest>()
  readonly #md5 = createHash('md5')
  readonly #sha256 = createHash('sha256')
  readonly #wantsSha256: string | null
  bytes = 0

  /** @param names header and trailer names that will be claimed; @param sha256 x-amz-content-sha256 where it is a digest */
  constructor(names: readonly string[], sha256: string | null) {
    this.#wantsSha256 = sha256
    for (const name of names) {
      const make = ALGORITHMS[name]
      if (make === undefined) throw new S3Error(501, 'NotImplemented', `The checksum ${name} is not supported here.`)
      this.#digests.set(name, make())
    }
  }

  update(chunk: Uint8Array): void {
    this.bytes += chunk.length
    this.#md5.update(chunk)
    if (this.#wantsSha256 !== null) this.#sha256.update(chunk)
    for (const digest of this.#digests.values()) digest.update(chunk)
  }

  /** @param claimed base64 by name. @returns the ETag. @throws S3Error BadDigest */
  finish(claimed: ReadonlyMap<string, string>): string {
    for (const [name, digest] of this.#digests) {
      if (digest.finish() !== claimed.get(name))
        throw new S3Error(400, 'BadDigest', `The ${name} you specified did not match what we received.`)
    }
    if (this.#wantsSha256 !== null && this.#sha256.digest('hex') !== this.#wantsSha256) {
      throw new S3Error(
        400,
        'XAmzContentSHA256Mismatch',
        'The provided x-amz-content-sha256 header does not match what was computed.',
      )
    }
    return this.#md5.digest('hex')
  }
}

export function isChecksumName(name: string): boolean {
  return name.startsWith('x-amz-checksum-') && name !== 'x-amz-checksum-type' && name !== 'x-amz-checksum-algorithm'
}
