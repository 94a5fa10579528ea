import { Type } from 'typebox'
import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { findBatch } from '../batches/find-batch.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'

export function explainItem(app: App, context: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/batches/:id/items/:index/explanation',
    config: { scope: 'read' },
    schema: {
      operationId: 'explainItem',
      summary: 'Why an item is where it is, and what would get it on',
      tags: ['batches'],
      params: Type.Object({ ...batchIdParams.properties, index: Type.Integer({ minimum: 0 }) }),
      response: {
        200: Type.Object({
          reason: Type.String({ description: 'One word for programs, such as running, paused or no_worker_fits.' }),
          message: Type.String({ description: 'A sentence for people.' }),
          remedy: Type.Union([Type.String(), Type.Null()], { description: 'null where nothing is to be done.' }),
          shardId: Type.Union([Type.String(), Type.Null()], { description: 'null while it is not planned.' }),
        }),
        ...problemResponses,
      },
    },
    handler: async (request) => {
      const { document } = await findBatch(context, callerOf(request), request.params.id)
      const { index } = request.params
      const { reason, message, remedy, shardId } = await context.coordinator.explainItem({
        batchId: document.id,
        item: index,
      })
      return { reason, message, remedy: remedy || null, shardId: shardId || null }
    },
  })
}
