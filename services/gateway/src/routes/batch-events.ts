import { once } from 'node:events'
import { Type } from 'typebox'
import type { Preview } from '@darkroom/proto'
import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { batchProgress, isEnded } from '../batches/batch-json.ts'
import { findBatch } from '../batches/find-batch.ts'
import { followBatch } from '../batches/follow-batch.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { noContent, problemResponses } from '../http/problem.ts'

interface BatchEvent {
  /** Previews have none: Last-Event-ID stays where the batch's own revision was. */
  readonly id?: string
  readonly event: 'progress' | 'preview' | 'end'
  readonly data: string
}

export function batchEvents(app: App, context: GatewayContext): void {
  const { events, stopping } = context
  app.route({
    method: 'GET',
    url: '/api/v1/batches/:id/events',
    config: { scope: 'read' },
    sse: { kind: 'only', serializer: String },
    schema: {
      operationId: 'batchEvents',
      summary: 'Follow a batch as server-sent events',
      description:
        'Event `progress` with the batch as it is now, then one for each change, and `end` with its last state. Ids are ' +
        'revisions: send the last one as Last-Event-ID to go on from there. 204 where nothing can follow. Of items with ' +
        '`previewEvery`, events `preview` show images on their way: `item` and `image` by index, `step` of `steps`, and ' +
        '`picture`, a JPEG as a data URL. They have no id. Who connects is sent the newest of each image that is being ' +
        'rendered (of 128 images of the farm at most), then each as it comes. One that was not sent when the next of its ' +
        'image came is skipped, and so is the one that waited longest where more than 16 images wait for a slow reader. ' +
        'All are gone when their images are finished.',
      tags: ['batches'],
      params: batchIdParams,
      headers: Type.Object({ 'last-event-id': Type.Optional(Type.String({ pattern: '^[0-9]{1,19}$' })) }),
      response: {
        200: { description: 'A stream of events.', content: { 'text/event-stream': { schema: Type.String() } } },
        204: noContent('The batch has ended and Last-Event-ID was its last event.'),
        ...problemResponses,
      },
    },
    handler: async (request, reply) => {
      const { batch } = await findBatch(context, callerOf(request), request.params.id)
      const gone = new AbortController()
      const closed = once(reply.raw, 'close')
        .catch(() => {})
        .finally(() => gone.abort())
      const signal = AbortSignal.any([gone.signal, stopping])
      const after = BigInt(request.headers['last-event-id'] ?? 0)
      const changes = eventsOf(context, batch.id, after, signal)[Symbol.asyncIterator]()
      // Of a batch that has ended all events come at once, or none: then EventSource must not try again.
      const first = isEnded(batch.state) ? await changes.next() : null
      if (first?.done === true) return reply.code(204).send()
      reply.sse.sendHeaders()
      events.eventStreamOpened()
      try {
        if (first !== null) await reply.sse.send(first.value)
        // A client that reads no more and then goes away would never let `send` end.
        await Promise.race([reply.sse.send({ [Symbol.asyncIterator]: () => changes }), closed])
      } finally {
        events.eventStreamClosed()
      }
      return undefined
    },
  })
}

/** The events of every change of a batch until it ends. */
async function* eventsOf(
  context: GatewayContext,
  batchId: string,
  afterRevision: bigint,
  signal: AbortSignal,
): AsyncGenerator<BatchEvent, void> {
  for await (const { revision, batch, preview } of followBatch(context, batchId, signal, afterRevision)) {
    if (preview !== undefined) yield { event: 'preview', data: JSON.stringify(previewJson(preview)) }
    if (batch === undefined) continue
    const event = isEnded(batch.state) ? 'end' : 'progress'
    yield { id: String(revision), event, data: JSON.stringify(batchProgress(batch)) }
  }
}

function previewJson({ item, image, step, steps, jpeg }: Preview) {
  return { item, image, step, steps, picture: `data:image/jpeg;base64,${Buffer.from(jpeg).toString('base64')}` }
}
