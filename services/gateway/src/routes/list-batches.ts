import { Type } from 'typebox'
import { batchProgress, batchProgressSchema } from '../batches/batch-json.ts'
import { callerOf, isAllowed } from '../auth/caller.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { nextLink, pageQuery } from '../http/paging.ts'
import { problemResponses } from '../http/problem.ts'

export function listBatches(app: App, { coordinator }: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/batches',
    config: { scope: 'read' },
    schema: {
      operationId: 'listBatches',
      summary: 'List batches, newest first',
      description: 'Those of the caller’s tenant; an admin sees those of all.',
      tags: ['batches'],
      querystring: Type.Object(pageQuery(100, 20), { additionalProperties: false }),
      response: {
        200: Type.Object({
          batches: Type.Array(batchProgressSchema),
          nextCursor: Type.Union([Type.String(), Type.Null()]),
        }),
        ...problemResponses,
      },
    },
    handler: async (request, reply) => {
      const { limit, cursor = '' } = request.query
      const caller = callerOf(request)
      const tenant = isAllowed(caller, 'admin') ? '' : caller.tenant
      const { batches, nextPageToken } = await coordinator.listBatches({ pageSize: limit, pageToken: cursor, tenant })
      const nextCursor = nextPageToken === '' ? null : nextPageToken
      if (nextCursor !== null) reply.header('link', nextLink(request, nextCursor))
      return { batches: batches.map(batchProgress), nextCursor }
    },
  })
}
