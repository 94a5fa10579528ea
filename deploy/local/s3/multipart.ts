import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Draft, Storage } from './storage.ts'
import { noSuchUpload, S3Error } from './s3-error.ts'

interface Part {
  readonly draft: Draft
  readonly etag: string
  readonly bytes: number
}

interface Upload {
  readonly bucket: string
  readonly key: string
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
  readonly parts: Map<number, Part>
}

const MIN_PART_BYTES = 5 * 1024 * 1024
const PART_OFFSET = 8192

/** Multipart uploads under way. They end with the process: a restart answers NoSuchUpload, and clients begin anew. */
export class MultipartUploads {
  readonly #uploads = new Map<string, Upload>()

  create(upload: Omit<Upload, 'parts'>): string {
    const id = randomUUID()
    this.#uploads.set(id, { ...upload, parts: new Map() })
    return id
  }

  get(id: string, bucket: string, key: string): Upload {
    const upload = this.#uploads.get(id)
    if (upload === undefined || upload.bucket !== bucket || upload.key !== key) throw noSuchUpload()
    return upload
  }

  async putPart(upload: Upload, number: number, part: Part): Promise<void> {
    if (!(number >= 1 && number <= 10_000))
      throw new S3Error(400, 'InvalidArgument', 'Part number must be an integer between 1 and 10000.')
    const previous = upload.parts.get(number)
    upload.parts.set(number, part)
    await previous?.draft.abandon()
  }

  /** Joins the named parts into a new draft. @returns it with its ETag and size */
  async join(
    upload: Upload,
    wanted: readonly { number: number; etag: string }[],
    storage: Storage,
  ): Promise<{ draft: Draft; etag: string; bytes: number }> {
    if (wanted.length === 0) throw new S3Error(400, 'MalformedXML', 'You must specify at least one part.')
    const parts = wanted.map(({ number, etag }, i) => {
      const part = upload.parts.get(number)
      if (part === undefined || part.etag !== etag)
        throw new S3Error(400, 'InvalidPart', 'One or more of the specified parts could not be found.')
      if (i > 0 && number <= wanted[i - 1]!.number)
        throw new S3Error(400, 'InvalidPartOrder', 'The list of parts was not in ascending order.')
      if (i < wanted.length - 1 && part.bytes < MIN_PART_BYTES)
        throw new S3Error(400, 'EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size.')
      return part
    })
    const draft = await storage.draft()
    try {
      for (const part of parts) {
        for await (const piece of createReadStream(part.draft.file, { start: PART_OFFSET }))
          await draft.write(piece as Buffer)
      }
    } catch (reason) {
      await draft.abandon()
      throw reason
    }
    const digest = createHash('md5')
      .update(Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex'))))
      .digest('hex')
    return { draft, etag: `${digest}-${parts.length}`, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0) }
  }

  async remove(id: string): Promise<void> {
    const upload = this.#uploads.get(id)
    this.#uploads.delete(id)
    for (const { draft } of upload?.parts.values() ?? []) await draft.abandon()
  }
}
