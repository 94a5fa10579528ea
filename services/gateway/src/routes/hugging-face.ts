import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { DarkroomError } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { callerOf } from '../auth/caller.ts'
import { traceparentOf } from '../batches/traceparent.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { quotaHeaders } from '../http/quota-headers.ts'
import { patiently } from '../now/patiently.ts'
import { renderNow } from '../now/render-now.ts'
import { WireItems } from '../openai/wire-item.ts'

const bodySchema = Type.Object({
  inputs: Type.String({ description: 'The prompt.', examples: ['a red apple'] }),
  parameters: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description: 'Fields of an item in snake_case: num_inference_steps, guidance_scale, seed, scheduler …',
      examples: [{ num_inference_steps: 20, seed: 7 }],
    }),
  ),
})
const PICTURE = { schema: Type.String({ format: 'binary' }) }

/** Hugging Face's text-to-image inference: a prompt in, the bytes of a picture out. */
export function huggingFace(app: App, context: GatewayContext): void {
  const wireItems = new WireItems(context.itemProperties)
  app.route({
    method: 'POST',
    url: '/models/:model',
    config: { scope: 'write' },
    schema: {
      operationId: 'huggingFaceTextToImage',
      summary: 'Render one picture as Hugging Face’s inference does',
      tags: ['adapters'],
      params: Type.Object({ model: Type.String({ maxLength: 300, description: 'A checkpoint.' }) }),
      body: bodySchema,
      response: {
        200: { description: 'The picture.', content: { 'image/png': PICTURE, 'image/jpeg': PICTURE } },
        ...problemResponses,
      },
    },
    handler: async (request, reply) => {
      const { inputs, parameters = {} } = request.body
      const given = { ...parameters, prompt: inputs, model: request.params.model }
      const { item, problems } = wireItems.itemOf(given, '/v1/images/generations')
      if (problems.length > 0) throw new DarkroomError('INVALID_REQUEST', 'the request is not valid', { problems })
      const { batch, images } = await patiently(request, reply, context.config.idleMs, async (signal) =>
        renderNow(context, {
          tenant: callerOf(request).tenant,
          item: { ...item, numImages: 1 },
          locate: (problem) => wireItems.inWireNames(problem),
          traceparent: traceparentOf(request.headers['traceparent']),
          tellQuota: quotaHeaders(reply),
          signal,
        }),
      )
      return sendPicture(context, keys.image(batch.id, images[0]!.name), reply)
    },
  })
}

async function sendPicture({ store }: GatewayContext, key: string, reply: FastifyReply): Promise<FastifyReply> {
  const stream = await store.getStream(key)
  if (stream === null) throw new DarkroomError('NOT_FOUND', 'the picture is gone')
  return reply.type(stream.contentType).header('content-length', stream.size).send(stream.body)
}
