import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { KeyIndex } from './key-index.ts'
import { noSuchBucket, noSuchKey, preconditionFailed, S3Error } from './s3-error.ts'
import { sha256Hex } from './signature.ts'

export interface ObjectHeader {
  readonly key: string
  readonly size: number
  /** Without quotes. */
  readonly etag: string
  readonly modified: number
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
}

export interface Condition {
  readonly ifNoneMatch: string | undefined
  readonly ifMatch: string | undefined
}

/** The header stands in the first block of each object's file; the bytes follow. */
const HEADER_BYTES = 8192
const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/** A file that is being written: nobody sees it before `commit`. */
export interface Draft {
  write(piece: Buffer): Promise<void>
  abandon(): Promise<void>
  readonly handle: FileHandle
  readonly file: string
}

/**
 * Buckets and objects in a folder. An object is one file, named by the hash of its key, made under another name, synced and
 * renamed, so a crash leaves the old object or the new one. The condition is checked in the same turn of the event loop as
 * the rename: of concurrent conditional writes exactly one wins.
 */
export class Storage {
  readonly #directory: string
  readonly #fsync: boolean
  readonly #buckets = new Map<string, KeyIndex<ObjectHeader>>()

  constructor(directory: string, options: { fsync: boolean }) {
    this.#directory = directory
    this.#fsync = options.fsync
    rmSync(this.#drafts(), { recursive: true, force: true })
    mkdirSync(this.#drafts(), { recursive: true })
    mkdirSync(path.join(directory, 'buckets'), { recursive: true })
    for (const bucket of readdirSync(path.join(directory, 'buckets'))) this.#load(bucket)
  }

  buckets(): string[] {
    return [...this.#buckets.keys()].toSorted()
  }

  createBucket(bucket: string): void {
    if (!BUCKET_NAME.test(bucket)) throw new S3Error(400, 'InvalidBucketName', 'The specified bucket is not valid.')
    if (this.#buckets.has(bucket)) throw new S3Error(409, 'BucketAlreadyOwnedByYou', 'You already own this bucket.')
    mkdirSync(this.#bucketFolder(bucket))
    this.#syncFolder(path.join(this.#directory, 'buckets'))
    this.#buckets.set(bucket, new KeyIndex())
  }

  index(bucket: string): KeyIndex<ObjectHeader> {
    const index = this.#buckets.get(bucket)
    if (index === undefined) throw noSuchBucket()
    return index
  }

  header(bucket: string, key: string): ObjectHeader {
    const header = this.index(bucket).get(key)
    if (header === undefined) throw noSuchKey()
    return header
  }

  async draft(): Promise<Draft> {
    const file = path.join(this.#drafts(), randomUUID())
    const handle = await open(file, 'w')
    let position = HEADER_BYTES
    return {
      file,
      handle,
      async write(piece) {
        await handle.write(piece, 0, piece.length, position)
        position += piece.length
      },
      async abandon() {
        await handle.close().catch(() => {})
        await unlink(file).catch(() => {})
      },
    }
  }

  /** @throws S3Error PreconditionFailed, NoSuchKey; the draft is gone then */
  async commit(bucket: string, draft: Draft, header: ObjectHeader, condition: Condition): Promise<void> {
    try {
      const bytes = Buffer.alloc(HEADER_BYTES)
      const text = Buffer.from(JSON.stringify(header))
      if (text.length + 4 > HEADER_BYTES)
        throw new S3Error(400, 'MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size.')
      bytes.writeUInt32BE(text.length)
      text.copy(bytes, 4)
      await draft.handle.write(bytes, 0, HEADER_BYTES, 0)
      if (this.#fsync) await draft.handle.sync()
      await draft.handle.close()
      this.#assertCondition(bucket, header.key, condition)
      const target = this.file(bucket, header.key)
      mkdirSync(path.dirname(target), { recursive: true })
      renameSync(draft.file, target)
      this.index(bucket).set(header.key, header)
      this.#syncFolder(path.dirname(target))
    } catch (reason) {
      await draft.abandon()
      throw reason
    }
  }

  delete(bucket: string, key: string): void {
    if (!this.index(bucket).delete(key)) return
    unlinkSync(this.file(bucket, key))
    this.#syncFolder(path.dirname(this.file(bucket, key)))
  }

  /**
   * An open file of the object as it is now, opened in this turn of the event loop: an overwrite or a deletion afterwards
   * does not change what is read from it. The caller closes it.
   */
  open(bucket: string, key: string): { descriptor: number; offset: number } {
    return { descriptor: openSync(this.file(bucket, key), 'r'), offset: HEADER_BYTES }
  }

  file(bucket: string, key: string): string {
    const name = sha256Hex(key)
    return path.join(this.#bucketFolder(bucket), name.slice(0, 2), name)
  }

  #assertCondition(bucket: string, key: string, { ifNoneMatch, ifMatch }: Condition): void {
    const existing = this.index(bucket).get(key)
    if (ifNoneMatch === '*' && existing !== undefined) throw preconditionFailed()
    if (ifMatch === undefined) return
    if (existing === undefined) throw noSuchKey()
    if (ifMatch !== '*' && ifMatch.replaceAll('"', '') !== existing.etag) throw preconditionFailed()
  }

  #load(bucket: string): void {
    const index = new KeyIndex<ObjectHeader>()
    const bytes = Buffer.alloc(HEADER_BYTES)
    for (const entry of readdirSync(this.#bucketFolder(bucket), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const descriptor = openSync(path.join(entry.parentPath, entry.name), 'r')
      readSync(descriptor, bytes, 0, HEADER_BYTES, 0)
      closeSync(descriptor)
      const header = JSON.parse(bytes.subarray(4, 4 + bytes.readUInt32BE()).toString()) as ObjectHeader
      index.set(header.key, header)
    }
    this.#buckets.set(bucket, index)
  }

  #bucketFolder(bucket: string): string {
    return path.join(this.#directory, 'buckets', bucket)
  }

  #drafts(): string {
    return path.join(this.#directory, 'drafts')
  }

  #syncFolder(folder: string): void {
    if (!this.#fsync) return
    const descriptor = openSync(folder, 'r')
    fsyncSync(descriptor)
    closeSync(descriptor)
  }
}
