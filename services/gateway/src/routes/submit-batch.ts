import type { FastifyRequest } from 'fastify'
import type { TProperties } from 'typebox'
import { DarkroomError } from '@darkroom/chassis'
import type { BatchDocument } from '@darkroom/proto'
import { batchJson, batchSchema } from '../batches/batch-json.ts'
import { tellCoordinator } from '../batches/tell-coordinator.ts'
import { traceparentOf } from '../batches/traceparent.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { acceptBatch } from '../ingest/accept-batch.ts'
import { batchRequestSchema, parseBatch, parseDefaults, picturesOf } from '../ingest/batch-schema.ts'
import { ShapeCheck } from '../ingest/check-item.ts'
import type { Intake, IntakeRequest } from '../ingest/intake.ts'
import { defaultsSchema, itemSchema } from '../ingest/item-schema.ts'
import { readNdjson } from '../ingest/read-ndjson.ts'
import { requestBody } from '../ingest/request-body.ts'

export function submitBatch(app: App, context: GatewayContext): void {
  const { config, intakeRules, itemProperties, events } = context
  const defaultsCheck = new ShapeCheck(defaultsSchema(itemProperties))
  const queryDefaults = defaultsSchema(scalarsOf(itemProperties))

  const acceptJson = async (request: FastifyRequest): Promise<BatchDocument> => {
    if (Object.keys(request.query as object).length > 0) {
      throw new DarkroomError('INVALID_REQUEST', 'query parameters are for NDJSON: put defaults into the body')
    }
    const { items, metadata, defaults } = parseBatch(request.body, defaultsCheck)
    const pictures = await picturesOf(defaults, context.pictures)
    const read = async (intake: Intake): Promise<void> => {
      for (let i = 0; i < items.length && !intake.problems.isFull; i++) await intake.add(items[i], i)
    }
    const traceparent = traceparentOf(request.headers['traceparent'])
    const locate: IntakeRequest['locate'] = ({ field, ...problem }, i) => ({
      field: field === undefined ? `items[${i}]` : `items[${i}].${field}`,
      ...problem,
    })
    const now = new Date()
    return acceptBatch(intakeRules, { defaults, pictures, metadata, traceparent, now, locate }, read, context)
  }

  const acceptNdjson = async (request: FastifyRequest): Promise<BatchDocument> => {
    const defaults = parseDefaults(request.query, defaultsCheck)
    const pictures = await picturesOf(defaults, context.pictures)
    const read = (intake: Intake): Promise<void> => {
      const body = requestBody(request.raw, (bytes) => events.bytesRead(bytes))
      return readNdjson(body, intake, config.maxLineBytes)
    }
    const traceparent = traceparentOf(request.headers['traceparent'])
    const locate: IntakeRequest['locate'] = (problem, line) => ({ line, ...problem })
    const now = new Date()
    return acceptBatch(intakeRules, { defaults, pictures, metadata: {}, traceparent, now, locate }, read, context)
  }

  app.route({
    method: 'POST',
    url: '/api/v1/batches',
    schema: {
      operationId: 'submitBatch',
      summary: 'Submit a batch',
      description:
        'All items or none: the answer is 201 once the whole batch is stored. Send JSON, or NDJSON with one item a line: ' +
        'that is read as a stream, so a million items are fine, and takes its defaults from the query.',
      tags: ['batches'],
      querystring: queryDefaults,
      response: { 201: batchSchema, ...problemResponses },
    },
    // The body is checked item by item, while it comes in, with the compiled form of the same schema.
    config: {
      documentedBody: {
        content: {
          'application/json': { schema: batchRequestSchema(itemProperties) },
          'application/x-ndjson': { schema: itemSchema(itemProperties) },
        },
      },
    },
    handler: async (request, reply) => {
      const isNdjson = request.headers['content-type']?.startsWith('application/x-ndjson') === true
      const document = await (isNdjson ? acceptNdjson(request) : acceptJson(request))
      context.documents.keep(document)
      const progress = await tellCoordinator(context, document)
      return reply.code(201).header('location', `/api/v1/batches/${document.id}`).send(batchJson(progress, document))
    },
  })
}

/** What fits a query: every default but lists and the scheduler's config. */
function scalarsOf(properties: TProperties): TProperties {
  const isScalar = ({ type }: { type?: string }): boolean => type !== 'array' && type !== 'object'
  return Object.fromEntries(Object.entries(properties).filter(([, schema]) => isScalar(schema)))
}
