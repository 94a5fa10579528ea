import { DarkroomError, ERROR_CODES, isErrorCode } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, CancelDocument, DoneDocument, OutputLine, RenderedImage } from '@darkroom/proto'
import type { CoreContext } from '../context.ts'
import { lineBlocks } from '../ingest/line-blocks.ts'
import { readItemPage } from '../items/item-page.ts'
import { unixSeconds } from './ids.ts'
import type { ResultKind } from './ids.ts'

const MAX_LINE_BYTES = 32 * 2 ** 20
const PAGE_ITEMS = 1_000

/** A picture of an answer as OpenAI has it, with what it was made with beside it. */
export interface ImageData {
  readonly url?: string
  readonly b64_json?: string
  readonly seed: number
  readonly nsfw_content_detected?: boolean
}

/**
 * The lines of a batch's output or error file, made from its documents: the same each time for one base.
 * @param base of the addresses of pictures, such as https://farm.example.com
 * @throws DarkroomError NOT_FOUND where the batch has not ended
 */
export async function* resultLines(
  context: CoreContext,
  batch: BatchDocument,
  kind: ResultKind,
  base: string,
): AsyncGenerator<string> {
  const done = await context.store.getJson<DoneDocument>(keys.done(batch.id))
  if (done === null) throw new DarkroomError('NOT_FOUND', 'the batch has not ended: its files come then')
  yield* kind === 'output' ? outputLines(context, batch, done, base) : errorLines(context, batch, done)
}

export function imageData(context: CoreContext, batchId: string, image: RenderedImage, base: string): ImageData {
  return { url: base + context.imageUrls.of(batchId, image.name), ...noteOf(image) }
}

export function noteOf({
  seed,
  nsfwContentDetected,
}: RenderedImage): Pick<ImageData, 'seed' | 'nsfw_content_detected'> {
  return { seed, ...(nsfwContentDetected !== undefined && { nsfw_content_detected: nsfwContentDetected }) }
}

async function* outputLines(
  context: CoreContext,
  batch: BatchDocument,
  { endedAt }: DoneDocument,
  base: string,
): AsyncGenerator<string> {
  const stream = await context.store.getStream(keys.output(batch.id))
  if (stream === null) return
  const created = unixSeconds(endedAt)
  for await (const { text } of lineBlocks(stream.body, MAX_LINE_BYTES)) {
    for (const line of text.split('\n')) {
      if (line === '') continue
      const { index, customId, images } = JSON.parse(line) as OutputLine
      const data = images.map((image) => imageData(context, batch.id, image, base))
      yield wireLine(batch, index, customId, { status: 200, body: { created, data } })
    }
  }
}

async function* errorLines(context: CoreContext, batch: BatchDocument, done: DoneDocument): AsyncGenerator<string> {
  const cancel = await context.store.getJson<CancelDocument>(keys.cancel(batch.id))
  const ended =
    cancel?.reason === 'expired'
      ? { code: 'batch_expired', message: 'This request could not be executed before the completion window expired.' }
      : { code: 'batch_cancelled', message: 'The batch was cancelled before this request was executed.' }
  const standing = { runningShards: new Set<string>(), isCancelled: done.state === 'cancelled' }
  for (let from: number | null = 0; from !== null;) {
    const query = { from, limit: PAGE_ITEMS, states: ['failed', 'cancelled'] as const }
    const page = await readItemPage(context.store, batch, standing, query)
    for (const { line, outcome } of page.entries) {
      const { index, customId } = line
      const { result } = outcome
      if (result?.state !== 'failed') {
        yield wireLine(batch, index, customId, null, ended)
        continue
      }
      const { code, message } = result
      const status = isErrorCode(code) ? ERROR_CODES[code].http : 500
      const type = status < 500 ? 'invalid_request_error' : 'server_error'
      const error = { message, type, param: null, code: code.toLowerCase() }
      yield wireLine(batch, index, customId, { status, body: { error } })
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
