import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { batchJson, batchProgress, batchSchema } from '../batches/batch-json.ts'
import { findBatch } from '../batches/find-batch.ts'
import { ifMatchHeaders, versionWanted } from '../batches/versions.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'

export function cancelBatch(app: App, context: GatewayContext): void {
  app.route({
    method: 'POST',
    url: '/api/v1/batches/:id/cancel',
    config: { scope: 'write' },
    schema: {
      operationId: 'cancelBatch',
      summary: 'Cancel a batch',
      description:
        'Answers once nothing of the batch starts any more. What was rendered stays. A batch that has ended is left as it is.',
      tags: ['batches'],
      params: batchIdParams,
      headers: ifMatchHeaders,
      response: { 200: batchSchema, ...problemResponses },
    },
    handler: async (request) => {
      const ifVersion = versionWanted(request.headers['if-match'])
      const { document } = await findBatch(context, callerOf(request), request.params.id)
      const { batch } = await context.coordinator.cancelBatch({ batchId: document.id, ifVersion })
      await context.auditLog.note(request, 'batch.cancel', document.id)
      return batchJson(batchProgress(batch!), document)
    },
  })
}
