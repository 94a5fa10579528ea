import { STATUS_CODES } from 'node:http'
import { DarkroomError, ERROR_CODES } from '@darkroom/chassis'
import type { ErrorCode } from '@darkroom/chassis'
import { Type } from 'typebox'
import type { FastifyError } from 'fastify'
import { shown } from '../field-problems.ts'
import type { Problem } from '@darkroom/chassis'

const fieldProblemSchema = Type.Object({
  line: Type.Optional(Type.Integer({ description: 'Line of an NDJSON body, from 1.' })),
  field: Type.Optional(Type.String({ description: 'Such as prompt, items[3].width or schedulerConfig.beta_start.' })),
  value: Type.Optional(Type.Unknown({ description: 'What was given, cut short.' })),
  message: Type.String({ description: 'What to do instead.' }),
})

/** Problem details, RFC 9457. */
const problemSchema = Type.Object({
  type: Type.String({ examples: ['urn:darkroom:problem:INVALID_REQUEST'] }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.Enum(Object.keys(ERROR_CODES)),
  requestId: Type.String({ description: 'Also in the header x-request-id and in the log.' }),
  errors: Type.Optional(Type.Array(fieldProblemSchema, { description: 'The first twenty.' })),
  error: Type.Optional(
    Type.Object(
      {
        message: Type.String(),
        type: Type.String(),
        param: Type.Union([Type.String(), Type.Null()]),
        code: Type.String(),
      },
      { description: 'The same for OpenAI’s clients: under /v1 alone.' },
    ),
  ),
})

/** What every route may answer besides its own: for the `response` part of a route's schema. */
export const problemResponses = {
  '4xx': {
    description: 'The request is at fault.',
    content: { 'application/problem+json': { schema: problemSchema } },
  },
  '5xx': { description: 'The farm is at fault.', content: { 'application/problem+json': { schema: problemSchema } } },
} as const

/** An answer without a body. The routes send none, or a stream: so nobody checks it against a schema. */
export function noContent(description: string): { readonly description: string } {
  return { type: 'null', description } as { readonly description: string }
}

/** What a route answers that sends a file, whole or a range of it. */
export function contentResponses(contentType: string) {
  const content = { [contentType]: { schema: Type.String({ format: 'binary' }) } }
  return { 200: { description: 'All of it.', content }, 206: { description: 'The range of it.', content } }
}

export interface ProblemDetails {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: ErrorCode
  readonly requestId: string
  readonly errors?: readonly Problem[]
}

export function problemDetails(error: DarkroomError, requestId: string): ProblemDetails {
  const status = ERROR_CODES[error.code].http
  return {
    type: `urn:darkroom:problem:${error.code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: error.message,
    code: error.code,
    requestId,
    ...(error.problems.length > 0 && { errors: error.problems }),
  }
}

/** Whatever a request ended in, as the one kind of error: ours, Fastify's own refusals, or a bug. */
export function errorOf(reason: unknown): DarkroomError {
  if (reason instanceof DarkroomError) return reason
  const { validation, statusCode, message } = reason as Partial<FastifyError>
  if (validation !== undefined) {
    const problems = validation.map(({ instancePath, params, message: wanted = 'is wrong' }): Problem => {
      const unknown = params['additionalProperty']
      if (typeof unknown === 'string') return { field: unknown, message: 'unknown parameter: remove it' }
      const { allowedValues } = params as { allowedValues?: readonly string[] }
      const names = allowedValues === undefined ? '' : `: ${allowedValues.join(', ')}`
      return { field: instancePath.slice(1).replaceAll('/', '.'), message: `${wanted}${names}` }
    })
    return new DarkroomError('INVALID_REQUEST', `the request is not valid: ${message ?? ''}`, { problems })
  }
  if (statusCode === 413)
    return refusal('PAYLOAD_TOO_LARGE', 'send it as application/x-ndjson, which has no limit', reason)
  if (statusCode === 415)
    return refusal('UNSUPPORTED_MEDIA_TYPE', 'want application/json or application/x-ndjson', reason)
  if (statusCode !== undefined && statusCode < 500) return refusal('INVALID_REQUEST', '', reason)
  return DarkroomError.from(reason)
}

function refusal(code: ErrorCode, remedy: string, reason: unknown): DarkroomError {
  const { message } = reason as Error
  return new DarkroomError(code, String(shown(message)) + (remedy === '' ? '' : `: ${remedy}`), { cause: reason })
}
