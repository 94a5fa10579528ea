import type { FastifyReply } from 'fastify'
import type { DarkroomError } from '@darkroom/chassis'
import type { OutputFormat, Preview } from '@darkroom/proto'
import { problemDetails } from '../http/problem.ts'
import { previewAs } from '../now/preview-as.ts'
import type { Rendered } from '../now/render-now.ts'
import type { BatchEndpoint } from './documents.ts'
import { withOpenAiError } from './error.ts'
import { unixSeconds } from './ids.ts'
import type { ImageData } from './image-data.ts'

/** Server-sent events of one request. Its head is sent with the first event, so that refusals before it are plain answers. */
export class ImageStream {
  readonly #reply: FastifyReply
  readonly #name: 'image_generation' | 'image_edit'
  readonly #format: OutputFormat
  #partials = 0
  hasBegun = false

  constructor(reply: FastifyReply, endpoint: BatchEndpoint, format: OutputFormat) {
    this.#reply = reply
    this.#name = endpoint === '/v1/images/edits' ? 'image_edit' : 'image_generation'
    this.#format = format
  }

  /** The caller waits for it before what comes next: encoding one takes longer than another. */
  async partial({ jpeg, step, steps }: Preview, atMost: number): Promise<void> {
    if (this.#partials >= atMost) return
    // One that cannot be made is not shown: the picture is what was asked for.
    const picture = await previewAs(this.#format, jpeg).catch(() => null)
    if (picture === null) return
    this.#send(`${this.#name}.partial_image`, {
      b64_json: Buffer.from(picture).toString('base64'),
      partial_image_index: this.#partials++,
      created_at: unixSeconds(new Date()),
      output_format: this.#format,
      step,
      steps,
    })
  }

  completed(image: ImageData, { batch, width, height }: Rendered): void {
    this.#send(`${this.#name}.completed`, {
      ...image,
      created_at: unixSeconds(new Date()),
      size: `${width}x${height}`,
      output_format: this.#format,
      darkroom_batch_id: batch.id,
    })
  }

  fail(error: DarkroomError, requestId: string): void {
    this.#send('error', withOpenAiError(problemDetails(error, requestId)))
    this.end()
  }

  end(): void {
    this.#reply.raw.end()
  }

  #send(event: string, data: object): void {
    const { raw } = this.#reply
    if (!this.hasBegun) {
      this.hasBegun = true
      this.#reply.hijack()
      const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' }
      raw.writeHead(200, { ...(this.#reply.getHeaders() as Record<string, string>), ...headers })
    }
    if (!raw.destroyed) raw.write(`event: ${event}\ndata: ${JSON.stringify({ type: event, ...data })}\n\n`)
  }
}
