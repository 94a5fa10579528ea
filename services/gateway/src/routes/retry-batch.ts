import { Type } from 'typebox'
import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { batchJson, batchSchema } from '../batches/batch-json.ts'
import { findDocument } from '../batches/find-batch.ts'
import { retryBatch as acceptRetry } from '../batches/retry-batch.ts'
import { tellCoordinator } from '../batches/tell-coordinator.ts'
import { traceparentOf } from '../batches/traceparent.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { quotaHeaders } from '../http/quota-headers.ts'
import { itemsText, readItems } from '../items/asked-items.ts'

export function retryBatch(app: App, context: GatewayContext): void {
  app.route({
    method: 'POST',
    url: '/api/v1/batches/:id/retry',
    config: { scope: 'write' },
    schema: {
      operationId: 'retryBatch',
      summary: 'Render again what a batch left',
      description:
        'Accepts a new batch of the items that failed or were cancelled, each with its customId and seed, so that its picture is ' +
        'the one that it would have been; where items are named, of those alone. The batch must have ended.',
      tags: ['batches'],
      params: batchIdParams,
      querystring: Type.Object(
        { items: Type.Optional(itemsText('Of what is left, only these.', 'query')) },
        { additionalProperties: false },
      ),
      response: { 201: batchSchema, ...problemResponses },
    },
    handler: async (request, reply) => {
      const source = await findDocument(context, callerOf(request), request.params.id)
      const traceparent = traceparentOf(request.headers['traceparent'])
      const document = await acceptRetry(context, source, {
        traceparent,
        now: new Date(),
        tellQuota: quotaHeaders(reply),
        items: request.query.items === undefined ? null : readItems('items', request.query.items, source),
      })
      await context.auditLog.note(request, 'batch.retry', source.id, { batch: document.id, ...request.query })
      context.documents.keep(document)
      const progress = await tellCoordinator(context, document)
      return reply.code(201).header('location', `/api/v1/batches/${document.id}`).send(batchJson(progress, document))
    },
  })
}
