import { dayOf } from '@darkroom/proto'
import { Type } from 'typebox'
import { AUDITED } from '../audit/audit-log.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { pageQuery } from '../http/paging.ts'
import { problemResponses } from '../http/problem.ts'

const entrySchema = Type.Object({
  at: Type.String({ format: 'date-time' }),
  action: Type.Enum([...AUDITED]),
  subject: Type.String({ description: 'key:ID, root, oidc:SUBJECT, or anyone at an open gateway.' }),
  tenant: Type.String(),
  target: Type.String({ description: 'The batch or the key.' }),
  requestId: Type.String(),
  change: Type.Record(Type.String(), Type.Unknown(), { description: 'What was asked for, and how it was before.' }),
})

export function audit(app: App, { auditLog }: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/audit',
    config: { scope: 'admin' },
    schema: {
      operationId: 'audit',
      summary: 'Who has changed what, on one day',
      description: 'Changes of batches, cancellations, retries, and keys, in the order of their time (UTC).',
      tags: ['access'],
      querystring: Type.Object(
        {
          ...pageQuery(1_000, 100, String.raw`^[0-9TZ.:-]{24}-[0-9a-f]{8}\.json$`),
          day: Type.Optional(Type.String({ format: 'date', description: 'Default: today.' })),
        },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({ entries: Type.Array(entrySchema), nextCursor: Type.Union([Type.String(), Type.Null()]) }),
        ...problemResponses,
      },
    },
    handler: async (request) => {
      const { limit, cursor = null, day = dayOf(new Date()) } = request.query
      const { entries, nextCursor } = await auditLog.page(day, limit, cursor)
      return { entries: entries.map((entry) => ({ ...entry, change: { ...entry.change } })), nextCursor }
    },
  })
}
