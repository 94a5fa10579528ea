import multipart from '@fastify/multipart'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Check } from 'typebox/value'
import { alphaAsMask, DarkroomError, PICTURE_LIMITS } from '@darkroom/chassis'
import type { OutputFormat } from '@darkroom/proto'
import { callerOf } from '../auth/caller.ts'
import { traceparentOf } from '../batches/traceparent.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { baseUrl } from '../http/base-url.ts'
import { problemResponses } from '../http/problem.ts'
import { quotaHeaders } from '../http/quota-headers.ts'
import type { BatchEndpoint } from '../openai/documents.ts'
import { EditPictures } from '../openai/edit-pictures.ts'
import { FORM_LIMITS, readForm, readPart } from '../openai/form.ts'
import { unixSeconds } from '../openai/ids.ts'
import { ImageStream } from '../openai/image-stream.ts'
import { patiently } from '../now/patiently.ts'
import { renderNow } from '../now/render-now.ts'
import type { Rendered } from '../now/render-now.ts'
import { imageAsBase64, imageAsUrl } from '../openai/image-data.ts'
import type { ImageData } from '../openai/image-data.ts'
import { previewEvery } from '../now/preview-every.ts'
import { WireItems } from '../openai/wire-item.ts'
import { toDataUrl } from '../pictures/data-url.ts'

/** What the routes read themselves of a body. */
const OPTIONS = {
  response_format: Type.Optional(
    Type.Enum(['url', 'b64_json'], { description: 'Default: b64_json; in a line of a batch, url.' }),
  ),
  stream: Type.Optional(Type.Boolean({ description: 'Answer as server-sent events.' })),
  partial_images: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 3, description: 'Pictures on their way that a stream shows, in its format.' }),
  ),
}
const optionsSchema = Type.Object(OPTIONS)

const imageSchema = Type.Object({
  b64_json: Type.Optional(Type.String()),
  url: Type.Optional(Type.String({ description: 'Needs no key; good for a month.' })),
  seed: Type.Integer({ description: 'The same request with it renders the same picture.' }),
  nsfw_content_detected: Type.Optional(Type.Boolean()),
})
const imagesSchema = Type.Object({
  created: Type.Integer(),
  data: Type.Array(imageSchema),
  size: Type.String({ examples: ['512x512'] }),
  output_format: Type.String(),
  darkroom_batch_id: Type.String({ description: 'The batch of this one item, under /api/v1/batches.' }),
})

type Body = Readonly<Record<string, unknown>>

/** OpenAI's Images: one request, answered when its pictures are rendered. */
export function openAiImages(app: App, context: GatewayContext): void {
  const wireItems = new WireItems(context.itemProperties)
  const bodySchema = Type.Object({
    ...wireItems.properties,
    size: Type.Optional(Type.String({ examples: ['512x512', 'auto'] })),
    ...OPTIONS,
  })
  const schemaOf = (operationId: string, summary: string, description: string) => ({
    operationId,
    summary,
    description: `${description} It goes before all batches, and is one itself: stored, and resumed where a worker dies. Where the caller leaves, it is cancelled.`,
    tags: ['openai'],
    response: { 200: imagesSchema, ...problemResponses },
  })

  app.route({
    method: 'POST',
    url: '/v1/images/generations',
    config: { scope: 'write', documentedBody: { content: { 'application/json': { schema: bodySchema } } } },
    schema: schemaOf(
      'openAiGenerateImages',
      'Render pictures now',
      'OpenAI’s fields, and every field of an item in snake_case: seed, scheduler, num_inference_steps, guidance_scale, negative_prompt …',
    ),
    handler: async (request, reply) =>
      answer(context, wireItems, '/v1/images/generations', objectOf(request.body), request, reply),
  })

  app.register(async (scope: App) => {
    await scope.register(multipart, { limits: FORM_LIMITS, throwFileSizeLimit: false })
    scope.route({
      method: 'POST',
      url: '/v1/images/edits',
      config: {
        scope: 'write',
        documentedBody: {
          content: {
            'multipart/form-data': {
              schema: Type.Object({
                ...bodySchema.properties,
                image: Type.String({ format: 'binary' }),
                mask: Type.Optional(
                  Type.String({ format: 'binary', description: 'Its transparent places are repainted.' }),
                ),
              }),
            },
            'application/json': { schema: bodySchema },
          },
        },
      },
      schema: schemaOf(
        'openAiEditImages',
        'Render pictures from a picture',
        'Without a mask the whole picture is rendered anew from it (image-to-image), with one its transparent places are (inpainting).',
      ),
      handler: async (request, reply) => {
        const pictures = new EditPictures(callerOf(request).tenant, { ...context, files: context.openAi.files })
        const body = request.isMultipart()
          ? await formBody(request, wireItems)
          : await pictures.resolve(objectOf(request.body))
        return answer(context, wireItems, '/v1/images/edits', body, request, reply)
      },
    })
  })
}

async function formBody(request: FastifyRequest, wireItems: WireItems): Promise<Body> {
  const found: Record<string, string> = {}
  const fields = await readForm(request, async (part) => {
    const field = part.fieldname.replace(/\[\d*\]$/, '')
    if (field !== 'image' && field !== 'mask') throw invalid(part.fieldname, 'want the files image and mask')
    if (found[field] !== undefined) throw invalid(field, 'the farm starts from one picture: send one')
    const bytes = await readPart(part, PICTURE_LIMITS.bytes)
    found[field] = toDataUrl(field === 'mask' ? await alphaAsMask(bytes) : bytes)
  })
  const { image, mask } = found
  return {
    ...wireItems.fromForm(fields),
    ...(image !== undefined && { image }),
    ...(mask !== undefined && { mask_image: mask }),
  }
}

async function answer(
  context: GatewayContext,
  wireItems: WireItems,
  endpoint: BatchEndpoint,
  body: Body,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Static<typeof imagesSchema> | undefined> {
  const { item, problems } = wireItems.itemOf(body, endpoint)
  const options = optionsOf(body)
  if (problems.length > 0) throw new DarkroomError('INVALID_REQUEST', 'the request is not valid', { problems })
  const partials = options.stream === true ? (options.partial_images ?? 0) : 0
  const format = (item.outputFormat ?? 'png') as OutputFormat
  const base = baseUrl(context.config, request)
  const isUrl = options.response_format === 'url'
  const stream = options.stream === true ? new ImageStream(reply, endpoint, format) : null
  try {
    const rendered = await patiently(request, reply, context.config.idleMs, async (signal) =>
      renderNow(context, {
        tenant: callerOf(request).tenant,
        item: partials === 0 ? item : { ...item, previewEvery: await previewEvery(context, item, partials) },
        locate: (problem) => wireItems.inWireNames(problem),
        traceparent: traceparentOf(request.headers['traceparent']),
        tellQuota: quotaHeaders(reply),
        signal,
        onPreview: async (preview) => stream?.partial(preview, partials),
      }),
    )
    const data = await Promise.all(
      rendered.images.map(async (image) =>
        isUrl ? imageAsUrl(context, rendered.batch.id, image, base) : imageAsBase64(context, rendered.batch.id, image),
      ),
    )
    if (stream === null) return wireImages(rendered, data, format)
    for (const image of data) stream.completed(image, rendered)
    stream.end()
    return undefined
  } catch (reason) {
    if (stream === null || !stream.hasBegun) throw reason
    stream.fail(DarkroomError.from(reason), request.id)
    return undefined
  }
}

function wireImages(
  { batch, width, height }: Rendered,
  data: ImageData[],
  format: string,
): Static<typeof imagesSchema> {
  const created = unixSeconds(batch.createdAt)
  return { created, data, size: `${width}x${height}`, output_format: format, darkroom_batch_id: batch.id }
}

function objectOf(body: unknown): Body {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Body
  throw new DarkroomError(
    'INVALID_REQUEST',
    'want a JSON object such as {"model": "emoji-sd", "prompt": "a red apple"}',
  )
}

/** @throws DarkroomError INVALID_REQUEST */
function optionsOf(body: Body): { response_format?: string; stream?: boolean; partial_images?: number } {
  const given = Object.fromEntries(
    Object.keys(OPTIONS).flatMap((name) => (body[name] == null ? [] : [[name, body[name]]])),
  )
  if (Check(optionsSchema, given)) return given
  const wrong = Object.keys(OPTIONS).find((name) => !Check(optionsSchema, { [name]: given[name] ?? undefined }))
  throw invalid(wrong ?? 'stream', 'want response_format url or b64_json, stream true or false, partial_images 0 to 3')
}

function invalid(field: string, message: string): DarkroomError {
  return new DarkroomError('INVALID_REQUEST', 'the request is not valid', { problems: [{ field, message }] })
}
