import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { commonRanges, rangesToMessages } from '@darkroom/proto'
import type { ItemRanges } from '@darkroom/proto'
import { Type } from 'typebox'
import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { batchJson, batchProgress, batchSchema } from '../batches/batch-json.ts'
import { findBatch } from '../batches/find-batch.ts'
import { etagOf, ifMatchHeaders, versionWanted } from '../batches/versions.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { assertApart, itemsText, readItems } from '../items/asked-items.ts'

export function updateBatch(app: App, context: GatewayContext): void {
  app.route({
    method: 'PATCH',
    url: '/api/v1/batches/:id',
    config: { scope: 'write' },
    schema: {
      operationId: 'updateBatch',
      summary:
        'Pause, resume or approve a batch or some of its items, cancel items, change its priority, or say when it is wanted',
      description:
        'Nothing of a paused batch starts; what runs goes on. What the body leaves out stays as it is. It survives restarts. ' +
        'A shard is rendered as one, so that items beside a paused one may wait with it. Cancelled items end as cancelled, ' +
        'unless they have ended; the batch goes on with the others and ends as completed.',
      tags: ['batches'],
      params: batchIdParams,
      headers: ifMatchHeaders,
      body: Type.Object(
        {
          priority: Type.Optional(
            Type.Integer({
              minimum: -1000,
              maximum: 1000,
              description: 'Among the open batches of its tenant the higher goes first; 0 unless it was changed.',
            }),
          ),
          paused: Type.Optional(Type.Boolean()),
          approved: Type.Optional(
            Type.Literal(true, {
              description: 'The items that wait for a yes may start. It is not taken back: pause or cancel the batch.',
            }),
          ),
          cancelItems: Type.Optional(itemsText('Not to be rendered any more. It is not taken back: retry the batch.')),
          pauseItems: Type.Optional(itemsText('Not to be started, until they are resumed.')),
          resumeItems: Type.Optional(itemsText('To go on with, of those that are paused.')),
          completeBy: Type.Optional(
            Type.String({
              format: 'date-time',
              description: 'When it is wanted: it is shown as at risk before that is missed.',
            }),
          ),
        },
        { additionalProperties: false, minProperties: 1 },
      ),
      response: { 200: batchSchema, ...problemResponses },
    },
    handler: async (request, reply) => {
      const ifVersion = versionWanted(request.headers['if-match'])
      const { document, batch: before } = await findBatch(context, callerOf(request), request.params.id)
      const { completeBy, cancelItems, pauseItems, resumeItems, ...change } = request.body
      const itemsIn = (field: string, text: string | undefined): ItemRanges =>
        text === undefined ? [] : readItems(field, text, document)
      const cancel = itemsIn('cancelItems', cancelItems)
      const pause = itemsIn('pauseItems', pauseItems)
      const resume = itemsIn('resumeItems', resumeItems)
      assertApart(commonRanges(pause, resume))
      const { batch } = await context.coordinator.updateBatch({
        batchId: document.id,
        ifVersion,
        ...change,
        cancelItems: rangesToMessages(cancel),
        pauseItems: rangesToMessages(pause),
        resumeItems: rangesToMessages(resume),
        ...(completeBy !== undefined && { completeBy: timestampFromDate(new Date(completeBy)) }),
      })
      const { priority, paused } = before
      await context.auditLog.note(request, 'batch.update', document.id, {
        ...request.body,
        before: { priority, paused },
      })
      reply.header('etag', etagOf(batch!))
      return batchJson(batchProgress(batch!), document)
    },
  })
}
