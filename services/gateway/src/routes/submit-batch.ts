import { Type } from 'typebox'
import { batchJson, batchSchema } from '../batches/batch-json.ts'
import { tellCoordinator } from '../batches/tell-coordinator.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { quotaHeaders } from '../http/quota-headers.ts'
import { acceptOnce } from '../ingest/accept-once.ts'
import { createSubmissionReader, queryDefaultsSchema, submissionBody } from '../ingest/submission.ts'

export function submitBatch(app: App, context: GatewayContext): void {
  const { itemProperties } = context
  const queryDefaults = queryDefaultsSchema(itemProperties)
  const readSubmission = createSubmissionReader(context)

  app.route({
    method: 'POST',
    url: '/api/v1/batches',
    schema: {
      operationId: 'submitBatch',
      summary: 'Submit a batch',
      description:
        'All items or none: the answer is 201 once the whole batch is stored. Send JSON, or NDJSON with one item a line: ' +
        'that is read as a stream, so a million items are fine, and takes its defaults from the query. Where the tenant may ask for ' +
        'so many images a day, RateLimit-Policy and RateLimit say how many are left.',
      tags: ['batches'],
      headers: Type.Object({
        'idempotency-key': Type.Optional(
          Type.String({
            maxLength: 255,
            description: 'The same key with the same request makes one batch, however often it is sent.',
          }),
        ),
      }),
      querystring: queryDefaults,
      response: { 201: batchSchema, ...problemResponses },
    },
    config: { scope: 'write', documentedBody: submissionBody(itemProperties) },
    handler: async (request, reply) => {
      const submission = await readSubmission(request)
      const { document, isReplay } = await acceptOnce(context, submission, {
        header: request.headers['idempotency-key'],
        tellQuota: quotaHeaders(reply),
      })
      if (isReplay) reply.header('idempotency-replayed', 'true')
      context.documents.keep(document)
      const progress = await tellCoordinator(context, document)
      return reply.code(201).header('location', `/api/v1/batches/${document.id}`).send(batchJson(progress, document))
    },
  })
}
