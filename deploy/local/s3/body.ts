import type { IncomingMessage } from 'node:http'
import { BodyChecks, isChecksumName } from './checksums.ts'
import { S3Error } from './s3-error.ts'
import { hmac, sha256Hex, UNSIGNED } from './signature.ts'
import type { ChunkSigning, VerifiedRequest } from './signature.ts'

const MAX_LINE = 16 * 1024
const EMPTY_SHA256 = sha256Hex('')

/** Yields pieces of a body, then its trailers. */
type Decoded = AsyncGenerator<Buffer, ReadonlyMap<string, string>>

/**
 * A request's body with its framing taken off and everything that was claimed of it verified: aws-chunked framing, chunk
 * signatures, trailers, checksums, length.
 * @returns the ETag (MD5 in hex) once all was handed to `sink`
 */
export async function readBody(
  request: IncomingMessage,
  verified: VerifiedRequest,
  sink: (piece: Buffer) => Promise<void> | void,
): Promise<{ etag: string; bytes: number }> {
  const { payload, chunkSigning } = verified
  const isChunked = payload.startsWith('STREAMING-')
  const claimed = new Map<string, string>()
  for (const [name, value] of Object.entries(request.headers)) {
    if ((isChecksumName(name) || name === 'content-md5') && typeof value === 'string') claimed.set(name, value)
  }
  const trailerNames =
    (request.headers['x-amz-trailer'] as string | undefined)?.split(',').map((name) => name.trim().toLowerCase()) ?? []
  const checks = new BodyChecks(
    [...claimed.keys(), ...trailerNames],
    isChunked || payload === UNSIGNED || payload === '' ? null : payload,
  )
  const decoded = isChunked
    ? unframe(request, payload.includes('AWS4-HMAC-SHA256') ? chunkSigning : null)
    : plain(request)
  for (;;) {
    const { value, done } = await decoded.next()
    if (done === true) {
      for (const [name, text] of value) claimed.set(name, text)
      break
    }
    checks.update(value)
    await sink(value)
  }
  const declared =
    request.headers['x-amz-decoded-content-length'] ?? (isChunked ? undefined : request.headers['content-length'])
  if (declared !== undefined && Number(declared) !== checks.bytes) {
    throw new S3Error(
      400,
      'IncompleteBody',
      'You did not provide the number of bytes specified by the Content-Length HTTP header',
    )
  }
  return { etag: checks.finish(claimed), bytes: checks.bytes }
}

async function* plain(request: IncomingMessage): Decoded {
  for await (const piece of request) yield piece as Buffer
  return new Map()
}

/** Takes aws-chunked framing apart, verifying each chunk's signature where they are signed. */
async function* unframe(request: IncomingMessage, signing: ChunkSigning | null): Decoded {
  const reader = new ByteReader(request)
  let previous = signing?.seedSignature ?? ''
  for (;;) {
    const [sizeText, ...extensions] = (await reader.line()).split(';')
    const size = Number.parseInt(sizeText!, 16)
    if (!/^[0-9a-f]+$/i.test(sizeText!)) throw new S3Error(400, 'InvalidRequest', 'The chunk size is malformed.')
    const pieces: Buffer[] = []
    for await (const piece of reader.take(size)) {
      if (signing === null) yield piece
      else pieces.push(piece)
    }
    if (signing !== null) {
      const data = Buffer.concat(pieces)
      const given = extensions.find((text) => text.startsWith('chunk-signature='))?.slice('chunk-signature='.length)
      const text = [
        'AWS4-HMAC-SHA256-PAYLOAD',
        signing.amzDate,
        signing.scope,
        previous,
        EMPTY_SHA256,
        sha256Hex(data),
      ].join('\n')
      const expected = hmac(signing.key, text).toString('hex')
      if (given !== expected) throw new S3Error(403, 'SignatureDoesNotMatch', 'A chunk signature does not match.')
      previous = expected
      if (data.length > 0) yield data
    }
    if (size === 0) return reader.trailers()
    if ((await reader.line()) !== '') throw new S3Error(400, 'InvalidRequest', 'A chunk is longer than its size.')
  }
}

/** Lines and byte counts over a stream. */
class ByteReader {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#source.next()
    if (done === true) return false
    this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value])
    return true
  }

  async line(): Promise<string> {
    let end = this.#rest.indexOf('\r\n')
    while (end === -1) {
      if (this.#rest.length > MAX_LINE)
        throw new S3Error(400, 'InvalidRequest', 'A line of the chunked body is too long.')
      if (!(await this.#more())) throw new S3Error(400, 'IncompleteBody', 'The body ended inside a chunk.')
      end = this.#rest.indexOf('\r\n')
    }
    const text = this.#rest.subarray(0, end).toString('latin1')
    this.#rest = this.#rest.subarray(end + 2)
    return text
  }

  async *take(count: number): AsyncGenerator<Buffer> {
    let left = count
    while (left > 0) {
      if (this.#rest.length === 0 && !(await this.#more()))
        throw new S3Error(400, 'IncompleteBody', 'The body ended inside a chunk.')
      const piece = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(piece.length)
      left -= piece.length
      yield piece
    }
  }

  async trailers(): Promise<ReadonlyMap<string, string>> {
    const trailers = new Map<string, string>()
    for (;;) {
      if (this.#rest.length === 0 && !(await this.#more())) return trailers
      const line = await this.line()
      if (line === '') return trailers
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).trim().toLowerCase()
      if (name !== 'x-amz-trailer-signature') trailers.set(name, line.slice(colon + 1).trim())
    }
  }
}
