import { DarkroomError } from '@darkroom/chassis'
import { Type } from 'typebox'
import type { TProperties } from 'typebox'
import type { Problem } from '@darkroom/chassis'
import type { InputPictures } from '../pictures/input-pictures.ts'
import { BatchPictures } from './batch-pictures.ts'
import { ShapeCheck } from './check-item.ts'
import { defaultsSchema, itemSchema, metadataSchema } from './item-schema.ts'
import type { ItemInput } from './item-schema.ts'

/** A JSON body, checked but for its items. */
export interface BatchInput {
  readonly items: readonly unknown[]
  readonly defaults: ItemInput
  readonly metadata: Readonly<Record<string, string>>
  readonly webhook?: { readonly url: string }
  readonly approveAfter?: number
}

export const webhookUrlSchema = Type.String({
  pattern: '^https?://[^\\s]{1,2000}$',
  description: 'Told of the end by Standard Webhooks: signed, at least once, tried for a day.',
  examples: ['https://example.com/darkroom'],
})
export const approveAfterSchema = Type.Integer({
  minimum: 1,
  description:
    'So many of the first items are rendered; the others wait for a yes: PATCH with approved, or darkroom approve.',
  examples: [8],
})
const webhookSchema = Type.Object({ url: webhookUrlSchema }, { additionalProperties: false })

/** The whole body as the OpenAPI document shows it. */
export function batchRequestSchema(properties: TProperties) {
  return Type.Object(
    {
      items: Type.Array(itemSchema(properties), { minItems: 1 }),
      defaults: Type.Optional(defaultsSchema(properties)),
      metadata: Type.Optional(metadataSchema),
      webhook: Type.Optional(webhookSchema),
      approveAfter: Type.Optional(approveAfterSchema),
    },
    {
      additionalProperties: false,
      examples: [
        {
          defaults: { checkpoint: 'emoji-sd', guidanceScale: 3.5 },
          items: [
            { prompt: 'a red apple', seed: 7 },
            { prompt: 'a panda', scheduler: 'EulerDiscreteScheduler', numInferenceSteps: 25, numImages: 4 },
          ],
        },
      ],
    },
  )
}

const envelopeCheck = new ShapeCheck(
  Type.Object(
    {
      items: Type.Array(Type.Unknown()),
      defaults: Type.Optional(Type.Unknown()),
      metadata: Type.Optional(metadataSchema),
      webhook: Type.Optional(webhookSchema),
      approveAfter: Type.Optional(approveAfterSchema),
    },
    { additionalProperties: false },
  ),
)

/** @throws DarkroomError INVALID_REQUEST with every problem of the envelope and of the defaults */
export function parseBatch(body: unknown, defaultsCheck: ShapeCheck): BatchInput {
  if (body === undefined || !envelopeCheck.passes(body)) {
    const problems = envelopeCheck.problemsOf(body)
    throw new DarkroomError('INVALID_REQUEST', 'the body is no batch; nothing was stored', {
      problems: problems.length > 0 ? problems : [{ field: 'items', message: 'is required: want a list' }],
    })
  }
  const {
    items,
    defaults = {},
    metadata = {},
    webhook,
    approveAfter,
  } = body as Partial<BatchInput> & Pick<BatchInput, 'items'>
  return {
    items,
    defaults: parseDefaults(defaults, defaultsCheck),
    metadata,
    ...(webhook !== undefined && { webhook }),
    ...(approveAfter !== undefined && { approveAfter }),
  }
}

/** @throws DarkroomError INVALID_REQUEST */
export function parseDefaults(defaults: unknown, check: ShapeCheck): ItemInput {
  if (check.passes(defaults)) return defaults
  throw unusable(check.problemsOf(defaults))
}

/**
 * Examines the pictures that the defaults name: once, not for each item.
 * @throws DarkroomError INVALID_REQUEST, STORE_UNAVAILABLE
 */
export async function picturesOf(defaults: ItemInput, known: InputPictures, tenant: string): Promise<BatchPictures> {
  const pictures = new BatchPictures(known, tenant)
  const problems = await pictures.examineDefaults(defaults)
  if (problems.length > 0) throw unusable(problems)
  return pictures
}

function unusable(problems: readonly Problem[]): DarkroomError {
  return new DarkroomError('INVALID_REQUEST', 'the defaults are not usable; nothing was stored', {
    problems: problems.map(({ field, ...problem }) => ({
      field: field === undefined ? 'defaults' : `defaults.${field}`,
      ...problem,
    })),
  })
}
