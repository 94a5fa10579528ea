import {
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { createHash, randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { DarkroomError } from './errors.ts'
import { uploadParts } from './multipart-upload.ts'
import { sendRequest } from './store-request.ts'
import type { RequestListener, Tolerated } from './store-request.ts'
import { inParts } from './upload-parts.ts'

export interface ObjectStoreConfig {
  /** Null: AWS, by region. */
  readonly endpoint: string | null
  readonly region: string
  readonly bucket: string
  /** Null: the default chain of the AWS SDK. */
  readonly accessKeyId: string | null
  readonly secretAccessKey: string | null
  readonly forcePathStyle: boolean
}

export interface ObjectInfo {
  readonly key: string
  readonly size: number
}

export interface ObjectStream {
  readonly body: Readable
  /** Bytes of the body, of the range where one was asked for. */
  readonly size: number
  readonly contentType: string
  readonly etag: string
}

export interface RequestOptions {
  readonly contentType?: string
  readonly signal?: AbortSignal
}

/** When a write is to be carried out. */
interface Condition {
  readonly IfNoneMatch?: string
  readonly IfMatch?: string
}

const MAX_ATTEMPTS = 6
/** Far more than there are writers of one document at a time. */
const MAX_EDITS = 32
const DELETE_BATCH = 1000

/**
 * The bucket: the farm's only durable truth. Any S3 endpoint that honours `If-None-Match: *` and `If-Match`.
 * Every method retries throttling and broken connections with backoff, then throws DarkroomError STORE_UNAVAILABLE.
 */
export class ObjectStore implements Disposable {
  readonly bucket: string
  readonly #client: S3Client
  readonly #onRequest: RequestListener

  private constructor(client: S3Client, bucket: string, onRequest: RequestListener) {
    this.#client = client
    this.bucket = bucket
    this.#onRequest = onRequest
  }

  static open(config: ObjectStoreConfig, options: { onRequest?: RequestListener } = {}): ObjectStore {
    const { accessKeyId, secretAccessKey } = config
    const client = new S3Client({
      region: config.region,
      forcePathStyle: config.forcePathStyle,
      maxAttempts: MAX_ATTEMPTS,
      requestHandler: {
        connectionTimeout: 5_000,
        requestTimeout: 60_000,
        httpsAgent: { maxSockets: 64 },
        httpAgent: { maxSockets: 64 },
      },
      ...(config.endpoint !== null && { endpoint: config.endpoint }),
      ...(accessKeyId !== null && secretAccessKey !== null && { credentials: { accessKeyId, secretAccessKey } }),
    })
    return new ObjectStore(client, config.bucket, options.onRequest ?? (() => {}))
  }

  /** Makes the bucket where it is missing: for a farm on one machine. */
  async ensureBucket(): Promise<void> {
    const found = await this.#request(
      'HeadBucket',
      () => this.#client.send(new HeadBucketCommand({ Bucket: this.bucket })),
      { missing: true },
    )
    if (found === null)
      await this.#request('CreateBucket', () => this.#client.send(new CreateBucketCommand({ Bucket: this.bucket })))
  }

  /** @throws DarkroomError STORE_UNAVAILABLE with a sentence that names the bucket */
  async checkBucket(): Promise<void> {
    const found = await this.#request(
      'HeadBucket',
      () => this.#client.send(new HeadBucketCommand({ Bucket: this.bucket })),
      { missing: true },
    )
    if (found === null) {
      throw new DarkroomError(
        'STORE_UNAVAILABLE',
        `the bucket '${this.bucket}' does not exist: make it, or set DARKROOM_S3_BUCKET`,
      )
    }
  }

  /**
   * The farm's fence. Two writers of one key: exactly one gets 'created'.
   * A retry after an answer that was lost finds its own write; a token in the metadata tells it from another's.
   */
  async putIfAbsent(
    key: string,
    body: Uint8Array | string,
    options: RequestOptions = {},
  ): Promise<'created' | 'exists'> {
    const isMine = await this.#putConditionally('PutObjectIfAbsent', key, body, { ...options, IfNoneMatch: '*' })
    return isMine ? 'created' : 'exists'
  }

  /**
   * Changes a JSON document as though its writers came one after the other: where somebody else has written it since it was read,
   * it is read and edited again. Also its own write is edited again, where its answer was lost and another's has followed.
   * @param edit takes what is stored, null for nothing; what it throws is thrown, and nothing is written
   * @returns what was written
   */
  async editJson<T>(key: string, edit: (stored: T | null) => T | Promise<T>): Promise<T> {
    for (let attempt = 1; attempt <= MAX_EDITS; attempt++) {
      const read = await this.#read(key)
      const edited = await edit(read === null ? null : (parse(read.bytes) as T))
      const condition = read === null ? { IfNoneMatch: '*' } : { IfMatch: read.etag }
      const options = { contentType: 'application/json', ...condition }
      if (await this.#putConditionally('PutObjectIfSame', key, JSON.stringify(edited), options)) return edited
    }
    throw new DarkroomError('STORE_UNAVAILABLE', `others changed ${key} each of the ${MAX_EDITS} times it was edited`)
  }

  /** @returns whether what is stored is this write's, rather than what somebody else has written */
  async #putConditionally(
    op: string,
    key: string,
    body: Uint8Array | string,
    { IfNoneMatch, IfMatch, ...options }: RequestOptions & Condition,
  ): Promise<boolean> {
    const token = randomUUID()
    const put = await this.#request(
      op,
      () =>
        this.#client.send(
          new PutObjectCommand({
            ...this.#object(key, body, options),
            IfNoneMatch,
            IfMatch,
            Metadata: { 'darkroom-writer': token },
          }),
          abortable(options),
        ),
      // An object that is to be the same, and is gone, is missing.
      { conflict: true, missing: IfMatch !== undefined },
    )
    if (put !== null) return true
    const stored = await this.#request(
      'HeadObject',
      () => this.#client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key })),
      { missing: true },
    )
    if (stored === null && IfMatch === undefined)
      throw new DarkroomError('STORE_UNAVAILABLE', `a conditional write of ${key} was refused, yet nothing is there`)
    return stored?.Metadata?.['darkroom-writer'] === token
  }

  async put(key: string, body: Uint8Array | string, options: RequestOptions = {}): Promise<void> {
    await this.#request('PutObject', () =>
      this.#client.send(new PutObjectCommand(this.#object(key, body, options)), abortable(options)),
    )
  }

  /** Uploads a stream of any length in parts; on any failure nothing is left. */
  async putStream(
    key: string,
    source: AsyncIterable<Uint8Array>,
    options: RequestOptions = {},
  ): Promise<{ bytes: number; sha256: string }> {
    const hash = createHash('sha256')
    let bytes = 0
    const parts = inParts(source, (chunk) => {
      hash.update(chunk)
      bytes += chunk.length
    })
    const first = await parts.next()
    const second = await parts.next()
    if (second.done === true) {
      await this.put(key, first.done === true ? new Uint8Array() : first.value, options)
    } else {
      const upload = {
        client: this.#client,
        target: { Bucket: this.bucket, Key: key },
        headers: contentType(options),
        abortable: abortable(options),
        onRequest: this.#onRequest,
      }
      await uploadParts(upload, chain([first.value as Buffer, second.value], parts))
    }
    return { bytes, sha256: hash.digest('hex') }
  }

  /** Null where there is no such object. */
  async get(key: string, options: RequestOptions = {}): Promise<Uint8Array | null> {
    return (await this.#read(key, options))?.bytes ?? null
  }

  async getJson<T>(key: string, options: RequestOptions = {}): Promise<T | null> {
    const bytes = await this.get(key, options)
    return bytes === null ? null : (parse(bytes) as T)
  }

  async #read(key: string, options: RequestOptions = {}): Promise<{ bytes: Uint8Array; etag: string } | null> {
    return this.#request(
      'GetObject',
      async () => {
        const { Body, ETag = '' } = await this.#client.send(
          new GetObjectCommand({ Bucket: this.bucket, Key: key }),
          abortable(options),
        )
        return { bytes: await Body!.transformToByteArray(), etag: ETag }
      },
      { missing: true },
    )
  }

  /** Bytes `start` to `endInclusive`. @throws DarkroomError NOT_FOUND */
  async getRange(key: string, start: number, endInclusive: number): Promise<Uint8Array> {
    const bytes = await this.#request(
      'GetObject',
      async () => {
        const { Body } = await this.#client.send(
          new GetObjectCommand({ Bucket: this.bucket, Key: key, Range: `bytes=${start}-${endInclusive}` }),
        )
        return Body!.transformToByteArray()
      },
      { missing: true },
    )
    if (bytes === null) throw new DarkroomError('NOT_FOUND', `no object ${key}`)
    return bytes
  }

  /** The caller reads or destroys the body. Null where there is no such object. */
  async getStream(key: string, range?: { start: number; endInclusive?: number }): Promise<ObjectStream | null> {
    const Range = range === undefined ? undefined : `bytes=${range.start}-${range.endInclusive ?? ''}`
    const answer = await this.#request(
      'GetObject',
      () => this.#client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key, Range })),
      { missing: true },
    )
    if (answer === null) return null
    return {
      body: answer.Body as Readable,
      size: answer.ContentLength ?? 0,
      contentType: answer.ContentType ?? 'application/octet-stream',
      etag: answer.ETag ?? '',
    }
  }

  async head(key: string): Promise<{ size: number; etag: string } | null> {
    const answer = await this.#request(
      'HeadObject',
      () => this.#client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key })),
      { missing: true },
    )
    return answer === null ? null : { size: answer.ContentLength ?? 0, etag: answer.ETag ?? '' }
  }

  /** Fine where there is nothing to delete. */
  async delete(key: string): Promise<void> {
    await this.#request(
      'DeleteObject',
      () => this.#client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key })),
      { missing: true },
    )
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += DELETE_BATCH) {
      const Objects = keys.slice(i, i + DELETE_BATCH).map((Key) => ({ Key }))
      const { Errors = [] } = await this.#request('DeleteObjects', () =>
        this.#client.send(new DeleteObjectsCommand({ Bucket: this.bucket, Delete: { Objects, Quiet: true } })),
      )
      const [refused] = Errors
      if (refused !== undefined)
        throw new DarkroomError('STORE_UNAVAILABLE', `${refused.Key} cannot be deleted: ${refused.Code}`)
    }
  }

  /** Objects under a prefix in byte order of their keys, page by page. */
  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncIterable<ObjectInfo> {
    for await (const page of this.#pages({ Prefix: prefix, StartAfter: options.startAfter })) {
      for (const { Key, Size } of page.Contents ?? []) yield { key: Key!, size: Size ?? 0 }
    }
  }

  /** The "folders" right under a prefix, each with its slash. */
  async *listPrefixes(prefix: string, options: { startAfter?: string } = {}): AsyncIterable<string> {
    for await (const page of this.#pages({ Prefix: prefix, Delimiter: '/', StartAfter: options.startAfter })) {
      for (const { Prefix } of page.CommonPrefixes ?? []) yield Prefix!
    }
  }

  /** What is right under a prefix: keys of objects, and "folders" with their slashes. One request for up to a thousand of them. */
  async namesIn(prefix: string): Promise<ReadonlySet<string>> {
    const names = new Set<string>()
    for await (const { Contents = [], CommonPrefixes = [] } of this.#pages({ Prefix: prefix, Delimiter: '/' })) {
      for (const { Key } of Contents) names.add(Key!)
      for (const { Prefix } of CommonPrefixes) names.add(Prefix!)
    }
    return names
  }

  async *#pages(query: { Prefix: string; Delimiter?: string; StartAfter?: string | undefined }) {
    let ContinuationToken: string | undefined
    do {
      const page = await this.#request('ListObjects', () =>
        this.#client.send(new ListObjectsV2Command({ Bucket: this.bucket, ...query, ContinuationToken })),
      )
      yield page
      ContinuationToken = page.NextContinuationToken
    } while (ContinuationToken !== undefined)
  }

  /** A URL that anybody may GET for a while. */
  async presignGet(key: string, options: { expiresSeconds: number }): Promise<string> {
    return getSignedUrl(this.#client, new GetObjectCommand({ Bucket: this.bucket, Key: key }), {
      expiresIn: options.expiresSeconds,
    })
  }

  [Symbol.dispose](): void {
    this.#client.destroy()
  }

  #object(key: string, body: Uint8Array | string, options: RequestOptions) {
    return { Bucket: this.bucket, Key: key, Body: body, ...contentType(options) }
  }

  async #request<T>(op: string, send: () => Promise<T>): Promise<T>
  async #request<T>(op: string, send: () => Promise<T>, tolerate: Tolerated): Promise<T | null>
  async #request<T>(op: string, send: () => Promise<T>, tolerate: Tolerated = {}): Promise<T | null> {
    return sendRequest(op, send, this.#onRequest, tolerate)
  }
}

function contentType(options: RequestOptions): { ContentType?: string } {
  return options.contentType === undefined ? {} : { ContentType: options.contentType }
}

function abortable(options: RequestOptions): { abortSignal?: AbortSignal } {
  return options.signal === undefined ? {} : { abortSignal: options.signal }
}

function parse(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes).toString('utf8'))
}

async function* chain<T>(head: readonly T[], tail: AsyncIterable<T>): AsyncGenerator<T> {
  yield* head
  yield* tail
}
