import { DarkroomError, ERROR_CODES, isErrorCode } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, CancelDocument, DoneDocument, OutputLine, RenderedImage } from '@darkroom/proto'
import type { CoreContext } from '../context.ts'
import { lineBlocks } from '../ingest/line-blocks.ts'
import { readItemPage } from '../items/item-page.ts'
import type { Base64Items } from './base64-items.ts'
import { unixSeconds } from './ids.ts'
import type { ResultKind } from './ids.ts'
import { base64Length, base64Of, imageAsUrl, noteOf } from './image-data.ts'
import type { ImageData } from './image-data.ts'

const MAX_LINE_BYTES = 32 * 2 ** 20
const PAGE_ITEMS = 1_000
/** Where a line without pictures goes on behind them. */
const EMPTY_DATA_END = ']}},"error":null}'

/** A stretch of a file of results. Its length is known without it, so that pictures are read for who reads them alone. */
export interface Piece {
  readonly bytes: number
  /** @throws DarkroomError NOT_FOUND, STORE_UNAVAILABLE */
  readonly read: () => Promise<string>
}

/** What the output file of a batch is made of besides the batch's own documents. */
export interface ResultForm {
  /** Of the addresses of pictures, such as https://farm.example.com */
  readonly base: string
  readonly base64Items: Base64Items
}

/**
 * A batch's output or error file, made from its documents: the same each time for one form.
 * @throws DarkroomError NOT_FOUND where the batch has not ended
 */
export async function* resultPieces(
  context: CoreContext,
  batch: BatchDocument,
  kind: ResultKind,
  form: ResultForm,
): AsyncGenerator<Piece> {
  const done = await context.store.getJson<DoneDocument>(keys.done(batch.id))
  if (done === null) throw new DarkroomError('NOT_FOUND', 'the batch has not ended: its files come then')
  yield* kind === 'output' ? outputPieces(context, batch, done, form) : errorPieces(context, batch, done)
}

async function* outputPieces(
  context: CoreContext,
  batch: BatchDocument,
  { endedAt }: DoneDocument,
  { base, base64Items }: ResultForm,
): AsyncGenerator<Piece> {
  const stream = await context.store.getStream(keys.output(batch.id))
  if (stream === null) return
  const created = unixSeconds(endedAt)
  for await (const { text } of lineBlocks(stream.body, MAX_LINE_BYTES)) {
    for (const line of text.split('\n')) {
      if (line === '') continue
      const { index, customId, images } = JSON.parse(line) as OutputLine
      const withData = (data: readonly ImageData[]): string =>
        wireLine(batch, index, customId, { status: 200, body: { created, data } })
      if (base64Items.has(index)) yield* base64Pieces(context, batch, images, withData([]))
      else yield textPiece(withData(images.map((image) => imageAsUrl(context, batch.id, image, base))))
    }
  }
}

/** A line with its pictures inside, one after the other: together they may be more than should be held. */
function* base64Pieces(
  context: CoreContext,
  batch: BatchDocument,
  images: readonly RenderedImage[],
  emptyLine: string,
): Generator<Piece> {
  const end = emptyLine.lastIndexOf(EMPTY_DATA_END)
  let before = emptyLine.slice(0, end)
  for (const image of images) {
    yield textPiece(`${before}{"b64_json":"`)
    yield { bytes: base64Length(image), read: async () => base64Of(context, batch.id, image) }
    yield textPiece(`",${JSON.stringify(noteOf(image)).slice(1)}`)
    before = ','
  }
  yield textPiece(emptyLine.slice(end))
}

function textPiece(text: string): Piece {
  return { bytes: Buffer.byteLength(text), read: async () => text }
}

async function* errorPieces(context: CoreContext, batch: BatchDocument, done: DoneDocument): AsyncGenerator<Piece> {
  const cancel = await context.store.getJson<CancelDocument>(keys.cancel(batch.id))
  const ended =
    cancel?.reason === 'expired'
      ? { code: 'batch_expired', message: 'This request could not be executed before the completion window expired.' }
      : done.state === 'cancelled'
        ? { code: 'batch_cancelled', message: 'The batch was cancelled before this request was executed.' }
        : { code: 'request_cancelled', message: 'This request was cancelled before it was executed.' }
  const standing = { runningShards: new Set<string>(), isCancelled: done.state === 'cancelled' }
  for (let from: number | null = 0; from !== null;) {
    const query = { from, limit: PAGE_ITEMS, states: ['failed', 'cancelled'] as const }
    const page = await readItemPage(context.store, batch, standing, query)
    for (const { line, outcome } of page.entries) {
      const { index, customId } = line
      const { result } = outcome
      if (result?.state !== 'failed') {
        yield textPiece(wireLine(batch, index, customId, null, ended))
        continue
      }
      const { code, message } = result
      const status = isErrorCode(code) ? ERROR_CODES[code].http : 500
      const type = status < 500 ? 'invalid_request_error' : 'server_error'
      const error = { message, type, param: null, code: code.toLowerCase() }
      yield textPiece(wireLine(batch, index, customId, { status, body: { error } }))
    }
    from = page.nextIndex
  }
}

function wireLine(
  batch: BatchDocument,
  index: number,
  customId: string,
  response: { readonly status: number; readonly body: unknown } | null,
  error: { readonly code: string; readonly message: string } | null = null,
): string {
  const id = `batch_req_${batch.id.slice(1)}_${index}`
  const answer = response && { status_code: response.status, request_id: id, body: response.body }
  return `${JSON.stringify({ id, custom_id: customId, response: answer, error })}\n`
}
