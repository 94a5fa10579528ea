import { keys } from '@darkroom/proto'
import type { BatchDocument, DoneDocument } from '@darkroom/proto'
import type { ObjectStore } from '@darkroom/chassis'
import type { CoreContext } from '../context.ts'
import type { ByteRange } from '../http/byte-range.ts'
import { Base64Items } from './base64-items.ts'
import type { OpenAiBatches } from './batches.ts'
import { noFile } from './files.ts'
import { RESULT_KINDS, resultFileId } from './ids.ts'
import type { ResultKind } from './ids.ts'
import type { PageQuery } from './page.ts'
import { resultPieces } from './result-pieces.ts'
import type { ResultForm } from './result-pieces.ts'

/** A few of the longest lists. */
const MAX_KEPT = 32_768

interface Result {
  readonly kind: ResultKind
  readonly batchId: string
}

/** Files of results: made piece by piece when they are read, so that nothing is stored twice. */
export class ResultFiles {
  readonly #context: CoreContext
  readonly #store: ObjectStore
  readonly #batches: OpenAiBatches
  /** Lengths of files that were asked for, as making one is the only way to know it. */
  readonly #bytes = new Map<string, Promise<number>>()

  constructor(context: CoreContext, batches: OpenAiBatches) {
    this.#context = context
    this.#store = context.store
    this.#batches = batches
  }

  /** Those that the tenant's batches have or may have one day, as far as a page may have them. */
  async ids(tenant: string, query: PageQuery): Promise<readonly string[]> {
    const batchIds = await this.#batches.ids(tenant, query)
    return batchIds.flatMap((batchId) => RESULT_KINDS.map((kind) => resultFileId(kind, batchId)))
  }

  /** @throws DarkroomError NOT_FOUND: none of the tenant's, not ended yet, without a line, deleted or expired */
  async describe(
    tenant: string,
    result: Result,
    base: string,
  ): Promise<{ batch: BatchDocument; bytes: number; createdAt: string; expiresAt: string | null }> {
    const { batch, createdAt, expiresAt } = await this.#find(tenant, result)
    const key = `${resultFileId(result.kind, result.batchId)} ${base}`
    let bytes = this.#bytes.get(key)
    if (bytes === undefined) {
      bytes = this.#measure(batch, result.kind, await this.#formOf(tenant, result, base))
      this.#bytes.set(key, bytes)
      bytes.catch(() => this.#bytes.delete(key))
      if (this.#bytes.size > MAX_KEPT) this.#bytes.delete(this.#bytes.keys().next().value!)
    }
    return { batch, bytes: await bytes, createdAt, expiresAt }
  }

  /** Bytes of the file from `start` to `endInclusive`. */
  async *read(
    tenant: string,
    result: Result,
    base: string,
    { start, endInclusive }: ByteRange,
  ): AsyncGenerator<Uint8Array> {
    const { batch } = await this.#find(tenant, result)
    const form = await this.#formOf(tenant, result, base)
    let at = 0
    for await (const piece of resultPieces(this.#context, batch, result.kind, form)) {
      const from = Math.max(0, start - at)
      const to = Math.min(piece.bytes, endInclusive + 1 - at)
      if (from < to) yield Buffer.from(await piece.read()).subarray(from, to)
      at += piece.bytes
      if (at > endInclusive) return
    }
  }

  async #find(
    tenant: string,
    { kind, batchId }: Result,
  ): Promise<{ batch: BatchDocument; createdAt: string; expiresAt: string | null }> {
    const { document, outcome } = await this.#batches.get(tenant, batchId)
    const done =
      outcome?.kind === 'accepted' ? await this.#store.getJson<DoneDocument>(keys.done(outcome.document.id)) : null
    const isDeleted = (await this.#store.head(keys.openAiDeleted(tenant, batchId, kind))) !== null
    if (outcome?.kind !== 'accepted' || done === null || linesOf(kind, done) === 0 || isDeleted)
      throw noFile(resultFileId(kind, batchId))
    const { outputSeconds, createdAt } = document
    const expiresAt =
      outputSeconds === null ? null : new Date(Date.parse(createdAt) + outputSeconds * 1000).toISOString()
    if (expiresAt !== null && Date.parse(expiresAt) <= Date.now()) throw noFile(resultFileId(kind, batchId))
    return { batch: outcome.document, createdAt, expiresAt }
  }

  async #formOf(tenant: string, { batchId }: Result, base: string): Promise<ResultForm> {
    const bits = await this.#store.get(keys.openAiBase64Items(tenant, batchId))
    return { base, base64Items: new Base64Items(bits ?? undefined) }
  }

  async #measure(batch: BatchDocument, kind: ResultKind, form: ResultForm): Promise<number> {
    let sum = 0
    for await (const { bytes } of resultPieces(this.#context, batch, kind, form)) sum += bytes
    return sum
  }
}

function linesOf(kind: ResultKind, { items: { rendered, failed, cancelled } }: DoneDocument): number {
  return kind === 'output' ? rendered : failed + cancelled
}
