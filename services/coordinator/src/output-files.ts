import type { ObjectStore } from '@darkroom/chassis'
import { CANCELLED, keys } from '@darkroom/proto'
import type { CommitRecord, ErrorLine, OutputLine, PlannedShard, ResultFile } from '@darkroom/proto'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { BatchReader } from './planner/batch-reader.ts'

const BUFFER_BYTES = 1 << 20

/** A file of lines in the store, written at the pace of its upload. */
class LineFile {
  readonly #key: string
  readonly #stream = new PassThrough({ highWaterMark: BUFFER_BYTES })
  readonly #upload: Promise<{ bytes: number; sha256: string }>
  #lines = 0

  constructor(store: ObjectStore, key: string) {
    this.#key = key
    this.#upload = store.putStream(key, this.#stream, { contentType: 'application/x-ndjson' })
    this.#upload.catch((reason: unknown) => this.#stream.destroy(reason as Error))
    // Told by the upload, which whoever ends the file waits for.
    this.#stream.on('error', () => {})
  }

  async write(line: object): Promise<void> {
    this.#lines++
    if (!this.#stream.write(`${JSON.stringify(line)}\n`)) await once(this.#stream, 'drain')
  }

  async end(): Promise<ResultFile> {
    this.#stream.end()
    const { bytes, sha256 } = await this.#upload
    return { key: this.#key, lines: this.#lines, bytes, sha256 }
  }

  /** Leaves nothing behind: what was uploaded so far is no file yet. */
  discard(reason: unknown): void {
    this.#stream.destroy(reason as Error)
  }
}

/** output.jsonl and errors.jsonl of a batch on their way to the store; memory does not grow with the batch. */
export class OutputFiles {
  readonly #reader: BatchReader
  readonly #output: LineFile
  readonly #errors: LineFile

  constructor(store: ObjectStore, reader: BatchReader, batchId: string) {
    this.#reader = reader
    this.#output = new LineFile(store, keys.output(batchId))
    this.#errors = new LineFile(store, keys.errors(batchId))
  }

  async add(shard: PlannedShard, record: CommitRecord): Promise<void> {
    if (record.kind === 'split') return
    if (record.kind === 'rendered') {
      for (const item of record.items) {
        if (item.state === 'rendered') await this.#output.write({ ...item, shardId: shard.id } satisfies OutputLine)
        else await this.#errors.write({ ...item, shardId: shard.id } satisfies ErrorLine)
      }
      return
    }
    for (const { index, customId } of await this.#reader.shardItems(record.batchId, shard.id)) {
      const { state, code, message } = record.kind === 'failed' ? { ...record, state: record.kind } : CANCELLED
      const line: ErrorLine = { index, customId, state, code, message, shardId: shard.id }
      await this.#errors.write(line)
    }
  }

  async end(): Promise<{ output: ResultFile; errors: ResultFile }> {
    const [output, errors] = await Promise.all([this.#output.end(), this.#errors.end()])
    return { output, errors }
  }

  discard(reason: unknown): void {
    this.#output.discard(reason)
    this.#errors.discard(reason)
  }
}
