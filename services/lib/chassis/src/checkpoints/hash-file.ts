import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Transform } from 'node:stream'

export interface FileDigest {
  readonly size: number
  readonly sha256: string
}

/** Reads a file once, in constant memory. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<FileDigest> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) })) {
    hash.update(chunk as Buffer)
    size += (chunk as Buffer).length
  }
  return { size, sha256: hash.digest('hex') }
}

/** Passes bytes through and fails at their end, before the receiver sees it, unless they are the expected ones. */
export function expectDigest(expected: FileDigest, onMismatch: (got: FileDigest) => Error): Transform {
  const hash = createHash('sha256')
  let size = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      size += chunk.length
      // More than was promised is refused at once, so that a wrong object cannot fill the disk.
      done(size > expected.size ? onMismatch({ size, sha256: 'more bytes than promised' }) : null, chunk)
    },
    flush(done) {
      const sha256 = hash.digest('hex')
      done(size === expected.size && sha256 === expected.sha256 ? null : onMismatch({ size, sha256 }))
    },
  })
}
