import type { Static } from 'typebox'
import { Type } from 'typebox'
import { metadataSchema } from '../ingest/item-schema.ts'

/** Endpoints that a batch's lines may be for. */
const BATCH_ENDPOINTS = ['/v1/images/generations', '/v1/images/edits'] as const
export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number]

const MIN_LIFE_SECONDS = 3_600
const MAX_LIFE_SECONDS = 30 * 86_400

export const expiresAfterSchema = Type.Object(
  {
    anchor: Type.Literal('created_at'),
    seconds: Type.Integer({ minimum: MIN_LIFE_SECONDS, maximum: MAX_LIFE_SECONDS }),
  },
  { additionalProperties: false },
)

/** openai/files/TENANT/ID/file.json: written once its content is there. */
export interface FileDocument {
  readonly id: string
  readonly bytes: number
  readonly createdAt: string
  readonly filename: string
  readonly purpose: string
  /** Null: it stays until it is deleted. */
  readonly expiresAt: string | null
}

export const batchRequestSchema = Type.Object(
  {
    input_file_id: Type.String({ minLength: 1, maxLength: 100 }),
    endpoint: Type.Enum([...BATCH_ENDPOINTS]),
    completion_window: Type.String({
      pattern: '^[1-9][0-9]{0,4}[mhd]$',
      description: 'What is not rendered by then expires.',
      examples: ['24h', '30m', '7d'],
    }),
    metadata: Type.Optional(Type.Union([metadataSchema, Type.Null()])),
    output_expires_after: Type.Optional(Type.Union([expiresAfterSchema, Type.Null()])),
  },
  { additionalProperties: false },
)

/** openai/batches/TENANT/ID/request.json: what was asked for. */
export interface OpenAiBatchDocument extends Pick<
  Static<typeof batchRequestSchema>,
  'input_file_id' | 'endpoint' | 'completion_window'
> {
  readonly id: string
  readonly tenant: string
  readonly createdAt: string
  readonly expiresAt: string
  readonly metadata: Readonly<Record<string, string>>
  /** Seconds that the results are kept; null: as long as the batch. */
  readonly outputSeconds: number | null
  readonly traceparent: string
}

const UNITS = { m: 60, h: 3_600, d: 86_400 } as const

/** Of a window such as 24h. */
export function windowSeconds(window: string): number {
  return Number(window.slice(0, -1)) * UNITS[window.slice(-1) as keyof typeof UNITS]
}
