import { createHash } from 'node:crypto'
import { keys, SEGMENT_ITEMS } from '@darkroom/proto'
import type { InputPart } from '@darkroom/proto'
import type { ObjectStore } from '@darkroom/chassis'

const TARGET_BYTES = 2 * 1024 * 1024
/** A small batch gets a small buffer; a large one gets room for a part and its last segment at once, not by doubling. */
const SMALL_BUFFER_BYTES = 128 * 1024
const PART_BUFFER_BYTES = TARGET_BYTES + 512 * 1024
const MAX_UPLOADS = 2
/** Lines are joined to strings of this many before they are encoded: fewer, longer writes. */
const LINES_PER_WRITE = 64
const MAX_BYTES_PER_UTF16_UNIT = 3

/** Takes the lines of a batch, in order. */
export interface LineSink {
  /** Whether the lines are kept, and so the pictures that they name. */
  readonly isStored: boolean
  /** A line with its newline. Where `isFull` says so afterwards, `flush` comes next. */
  append(line: string): void
  readonly isFull: boolean
  flush(): Promise<void>
  finish(): Promise<readonly InputPart[]>
  discard(): Promise<void>
}

/**
 * Writes the lines of one batch as input parts. A part ends at a segment boundary once it has 2 MiB, and at most two are
 * being uploaded while a third is filled: three buffers, used again and again, are all the memory there is.
 */
export class PartWriter implements LineSink {
  readonly isStored = true
  readonly #store: ObjectStore
  readonly #batchId: string
  readonly #parts: InputPart[] = []
  readonly #uploads = new Set<Promise<void>>()
  readonly #freeBuffers: Buffer[] = []
  #started = 0
  #failure: { reason: unknown } | null = null

  #text = ''
  #textLines = 0
  #buffer: Buffer = Buffer.alloc(0)
  #bytes = 0
  #hash = createHash('sha256')
  #lines = 0
  #firstItem = 0
  #segmentOffsets: number[] = []

  constructor(store: ObjectStore, batchId: string) {
    this.#store = store
    this.#batchId = batchId
  }

  append(line: string): void {
    if (this.#lines % SEGMENT_ITEMS === 0) this.#segmentOffsets.push(this.#bytes)
    this.#text += line
    this.#lines++
    if (++this.#textLines === LINES_PER_WRITE) this.#encode()
  }

  get isFull(): boolean {
    return this.#lines % SEGMENT_ITEMS === 0 && this.#bytes >= TARGET_BYTES
  }

  /** Starts the upload of what was appended; waits while two others are under way. */
  async flush(): Promise<void> {
    this.#encode()
    while (this.#uploads.size >= MAX_UPLOADS) await Promise.race(this.#uploads)
    if (this.#failure !== null) throw this.#failure.reason
    const buffer = this.#buffer
    const body = buffer.subarray(0, this.#bytes)
    const key = keys.inputPart(this.#batchId, this.#started++)
    this.#parts.push({
      key,
      firstItem: this.#firstItem,
      itemCount: this.#lines,
      bytes: this.#bytes,
      sha256: this.#hash.digest('hex'),
      segmentOffsets: this.#segmentOffsets,
    })
    this.#track(
      this.#store
        .put(key, body, { contentType: 'application/x-ndjson' })
        .then(() => void this.#freeBuffers.push(buffer)),
    )
    this.#firstItem += this.#lines
    this.#lines = 0
    this.#bytes = 0
    this.#hash = createHash('sha256')
    this.#segmentOffsets = []
    this.#buffer = this.#freeBuffers.pop() ?? Buffer.allocUnsafeSlow(buffer.length)
  }

  /** Uploads the rest and waits for all of it. */
  async finish(): Promise<readonly InputPart[]> {
    if (this.#lines > 0) await this.flush()
    await Promise.all(this.#uploads)
    if (this.#failure !== null) throw this.#failure.reason
    return this.#parts
  }

  /** Deletes whatever was stored. Uploads under way end first, so that none of them lands behind the deletion. */
  async discard(): Promise<void> {
    await Promise.all(this.#uploads)
    const stored = Array.from({ length: this.#started }, (_, part) => keys.inputPart(this.#batchId, part))
    await this.#store.deleteMany(stored)
  }

  #track(upload: Promise<void>): void {
    const tracked = upload
      .catch((reason: unknown) => {
        this.#failure ??= { reason }
      })
      .finally(() => this.#uploads.delete(tracked))
    this.#uploads.add(tracked)
  }

  /** Every segment starts with an encode: 64 divides 1024. */
  #encode(): void {
    if (this.#textLines === 0) return
    this.#reserve(this.#text.length * MAX_BYTES_PER_UTF16_UNIT)
    const written = this.#buffer.write(this.#text, this.#bytes, 'utf8')
    this.#hash.update(this.#buffer.subarray(this.#bytes, this.#bytes + written))
    this.#bytes += written
    this.#text = ''
    this.#textLines = 0
  }

  #reserve(extra: number): void {
    const needed = this.#bytes + extra
    if (needed <= this.#buffer.length) return
    const size = [SMALL_BUFFER_BYTES, PART_BUFFER_BYTES].find((bytes) => bytes >= needed) ?? needed * 2
    const larger = Buffer.allocUnsafeSlow(size)
    this.#buffer.copy(larger, 0, 0, this.#bytes)
    this.#buffer = larger
  }
}
