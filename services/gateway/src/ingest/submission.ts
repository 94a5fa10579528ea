import { DarkroomError } from '@darkroom/chassis'
import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { TProperties } from 'typebox'
import { sha256Hex } from '../auth/api-key.ts'
import { callerOf } from '../auth/caller.ts'
import { traceparentOf } from '../batches/traceparent.ts'
import type { GatewayContext } from '../context.ts'
import {
  approveAfterSchema,
  batchRequestSchema,
  parseBatch,
  parseDefaults,
  picturesOf,
  webhookUrlSchema,
} from './batch-schema.ts'
import { ShapeCheck } from './check-item.ts'
import type { Intake, IntakeRequest } from './intake.ts'
import { defaultsSchema, itemSchema } from './item-schema.ts'
import { readNdjson } from './read-ndjson.ts'
import { requestBody } from './request-body.ts'

/** What an intake is made with, and what gives it the items. */
export interface Submission {
  readonly request: IntakeRequest
  readonly read: (intake: Intake) => Promise<void>
  /** Reads what is left of the body, for its fingerprint alone. */
  readonly drain: () => Promise<void>
  /** Hex, of the query and of the body as far as it was read. */
  readonly fingerprint: () => string
}

/** Both forms that a batch comes in. The body is checked item by item, while it comes in, with the compiled form of the schema. */
export function submissionBody(itemProperties: TProperties) {
  return {
    content: {
      'application/json': { schema: batchRequestSchema(itemProperties) },
      'application/x-ndjson': { schema: itemSchema(itemProperties) },
    },
  }
}

/** Defaults of an NDJSON body. */
export function queryDefaultsSchema(itemProperties: TProperties) {
  return defaultsSchema({
    ...scalarsOf(itemProperties),
    webhookUrl: Type.Optional(webhookUrlSchema),
    approveAfter: Type.Optional(approveAfterSchema),
  })
}

/** Reads a JSON body, or an NDJSON one as a stream. @throws DarkroomError INVALID_REQUEST for all but the items */
export function createSubmissionReader({
  config,
  events,
  itemProperties,
  pictures: known,
}: GatewayContext): (request: FastifyRequest) => Promise<Submission> {
  const defaultsCheck = new ShapeCheck(defaultsSchema(itemProperties))

  const readJson = async (request: FastifyRequest): Promise<Submission> => {
    if (Object.keys(request.query as object).length > 0) {
      throw new DarkroomError('INVALID_REQUEST', 'query parameters are for NDJSON: put defaults into the body')
    }
    const { items, metadata, defaults, webhook, approveAfter } = parseBatch(request.body, defaultsCheck)
    if (webhook !== undefined) assertMayTell(webhook.url, config.webhooks)
    const pictures = await picturesOf(defaults, known, callerOf(request).tenant)
    const locate: IntakeRequest['locate'] = ({ field, ...problem }, i) => ({
      field: field === undefined ? `items[${i}]` : `items[${i}].${field}`,
      ...problem,
    })
    return {
      request: {
        defaults,
        pictures,
        metadata,
        locate,
        ...commonOf(request),
        ...(webhook !== undefined && { webhook }),
        ...(approveAfter !== undefined && { approveAfter }),
      },
      drain: async () => {},
      fingerprint: () => sha256Hex(JSON.stringify(request.body)),
      read: async (intake) => {
        for (let i = 0; i < items.length && !intake.problems.isFull; i++) await intake.add(items[i], i)
      },
    }
  }

  const readLines = async (request: FastifyRequest): Promise<Submission> => {
    const { webhookUrl, approveAfter, ...query } = request.query as { webhookUrl?: string; approveAfter?: number }
    if (webhookUrl !== undefined) assertMayTell(webhookUrl, config.webhooks)
    const defaults = parseDefaults(query, defaultsCheck)
    const pictures = await picturesOf(defaults, known, callerOf(request).tenant)
    const locate: IntakeRequest['locate'] = (problem, line) => ({ line, ...problem })
    const hash = createHash('sha256').update(`${JSON.stringify(request.query)}\n`)
    const onChunk = (chunk: Buffer): void => {
      hash.update(chunk)
      events.bytesRead(chunk.length)
    }
    return {
      request: {
        defaults,
        pictures,
        metadata: {},
        locate,
        ...commonOf(request),
        ...(webhookUrl !== undefined && { webhook: { url: webhookUrl } }),
        ...(approveAfter !== undefined && { approveAfter }),
      },
      drain: async () => {
        for await (const _ of requestBody(request.raw, onChunk));
      },
      fingerprint: () => hash.copy().digest('hex'),
      read: (intake) => readNdjson(requestBody(request.raw, onChunk), intake, config.maxLineBytes),
    }
  }

  return (request) => {
    const isNdjson = request.headers['content-type']?.startsWith('application/x-ndjson') === true
    return isNdjson ? readLines(request) : readJson(request)
  }
}

function assertMayTell(url: string, isAllowed: boolean): void {
  const message = !isAllowed
    ? 'this farm tells nobody: leave it out, or have the operator set DARKROOM_GATEWAY_WEBHOOKS'
    : URL.canParse(url)
      ? null
      : `'${url}' is no address: want one such as https://example.com/darkroom`
  if (message === null) return
  throw new DarkroomError('INVALID_REQUEST', 'the batch was not accepted', {
    problems: [{ field: 'webhook', message }],
  })
}

function commonOf(request: FastifyRequest): Pick<IntakeRequest, 'tenant' | 'traceparent' | 'now' | 'claim'> {
  return {
    tenant: callerOf(request).tenant,
    traceparent: traceparentOf(request.headers['traceparent']),
    now: new Date(),
    claim: null,
  }
}

/** What fits a query: every default but lists and the scheduler's config. */
function scalarsOf(properties: TProperties): TProperties {
  const isScalar = ({ type }: { type?: string }): boolean => type !== 'array' && type !== 'object'
  return Object.fromEntries(Object.entries(properties).filter(([, schema]) => isScalar(schema)))
}
