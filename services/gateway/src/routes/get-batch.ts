import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { batchJson, batchProgress, batchSchema } from '../batches/batch-json.ts'
import { findBatch } from '../batches/find-batch.ts'
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
      tags: ['batches'],
      params: batchIdParams,
      response: { 200: batchSchema, ...problemResponses },
    },
    handler: async (request) => {
      const { batch, document } = await findBatch(context, callerOf(request), request.params.id)
      return batchJson(batchProgress(batch), document)
    },
  })
}
