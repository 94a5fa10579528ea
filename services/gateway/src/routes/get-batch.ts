import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { batchJson, batchProgress, batchSchema } from '../batches/batch-json.ts'
import { findBatch } from '../batches/find-batch.ts'
import { etagOf } from '../batches/versions.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'

export function getBatch(app: App, context: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/batches/:id',
    config: { scope: 'read' },
    schema: {
      operationId: 'getBatch',
      summary: 'How a batch stands',
      description:
        'Its ETag is of what PATCH changes, and of whether the batch is open: progress does not change it. Send it as If-Match with a change.',
      tags: ['batches'],
      params: batchIdParams,
      response: { 200: batchSchema, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { batch, document } = await findBatch(context, callerOf(request), request.params.id)
      reply.header('etag', etagOf(batch)).header('cache-control', 'no-store')
      return batchJson(batchProgress(batch), document)
    },
  })
}
