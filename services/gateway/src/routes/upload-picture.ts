import { Type } from 'typebox'
import { DarkroomError, PICTURE_LIMITS } from '@darkroom/chassis'
import { callerOf } from '../auth/caller.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { requestBody } from '../ingest/request-body.ts'

const uploadedSchema = Type.Object({
  key: Type.String({ description: 'For image, maskImage and depthMap of an item.' }),
  contentType: Type.String({ examples: ['image/png'] }),
  width: Type.Integer({ description: 'Pixels, upright.' }),
  height: Type.Integer(),
  bytes: Type.Integer(),
})

export function uploadPicture(app: App, { pictures, events }: GatewayContext): void {
  app.register(async (scope: App) => {
    // What the bytes are decides, not what they are called.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', async () => undefined)
    scope.route({
      method: 'POST',
      url: '/api/v1/pictures',
      schema: {
        operationId: 'uploadPicture',
        summary: 'Upload a picture that items start from',
        description: `The body is a PNG, JPEG or WebP file of at most ${PICTURE_LIMITS.bytes} bytes and ${PICTURE_LIMITS.pixels} pixels, ${PICTURE_LIMITS.side} a side, that does not move. It is stored by its content: the same picture twice has one key.`,
        tags: ['batches'],
        response: { 201: uploadedSchema, ...problemResponses },
      },
      config: {
        scope: 'write',
        documentedBody: {
          content: Object.fromEntries(
            ['image/png', 'image/jpeg', 'image/webp'].map((type) => [
              type,
              { schema: Type.String({ format: 'binary' }) },
            ]),
          ),
        },
      },
      handler: async (request, reply) => {
        const length = Number(request.headers['content-length'] ?? 0)
        if (length > PICTURE_LIMITS.bytes) throw tooLarge()
        const chunks: Buffer[] = []
        let bytes = 0
        for await (const chunk of requestBody(request.raw, ({ length }) => events.bytesRead(length))) {
          bytes += chunk.length
          if (bytes > PICTURE_LIMITS.bytes) throw tooLarge()
          chunks.push(chunk)
        }
        if (bytes === 0) throw new DarkroomError('INVALID_REQUEST', 'the body is empty: send the picture itself')
        return reply.code(201).send(await pictures.store(callerOf(request).tenant, Buffer.concat(chunks)))
      },
    })
  })
}

function tooLarge(): DarkroomError {
  return new DarkroomError(
    'PAYLOAD_TOO_LARGE',
    `the picture is longer than ${PICTURE_LIMITS.bytes} bytes: make it smaller`,
  )
}
