import { Type } from 'typebox'
import { DarkroomError } from '@darkroom/chassis'
import { keys, OUTPUT_FORMATS } from '@darkroom/proto'
import { batchIdParams, isBatchId } from '../batches/batch-id.ts'
import { identify } from '../auth/authentication.ts'
import { assertAllowed } from '../auth/caller.ts'
import { findDocument } from '../batches/find-batch.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { noContent, problemResponses } from '../http/problem.ts'

const URL_LIFE_SECONDS = 3600
/** Of SHA-256. */
const HASH_DIGITS = 64
const PICTURES = Object.fromEntries(
  Object.values(OUTPUT_FORMATS).map(({ contentType }) => [contentType, { schema: Type.String({ format: 'binary' }) }]),
)

export function getImage(app: App, context: GatewayContext): void {
  const { store, config, imageUrls, credentials } = context
  app.route({
    method: 'GET',
    url: '/api/v1/batches/:id/images/:name',
    config: { scope: 'public' },
    schema: {
      operationId: 'getImage',
      summary: 'Download a picture',
      description:
        'Takes the address that /items gives, which needs no key, or a key. Redirects to a URL of the object store that is good for an hour, or sends the picture itself.',
      tags: ['results'],
      params: Type.Object({
        ...batchIdParams.properties,
        name: Type.String({
          pattern: '^[0-9]{1,10}-[0-9]{1,10}-[0-9a-f]{64}\\.[a-z]{1,5}$',
          description: '`name` of an image in output.jsonl or in /items.',
        }),
      }),
      querystring: Type.Object(
        {
          proxy: Type.Optional(Type.Integer({ minimum: 0, maximum: 1, description: '1: no redirect.' })),
          expires: Type.Optional(Type.Integer({ minimum: 0, description: 'Of a signed address; Unix seconds.' })),
          signature: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of a signed address.' })),
        },
        { additionalProperties: false },
      ),
      response: {
        304: noContent('It is the picture that If-None-Match names.'),
        200: { description: 'The picture, as its item’s outputFormat says.', content: PICTURES },
        307: noContent('Where the picture is.'),
        ...problemResponses,
      },
    },
    handler: async (request, reply) => {
      const { id, name } = request.params
      if (!isBatchId(id)) throw new DarkroomError('NOT_FOUND', `no batch ${id}`)
      if (!imageUrls.isSigned(id, name, request.query)) {
        const caller = await identify(request, credentials)
        assertAllowed(caller, 'read')
        await findDocument(context, caller, id)
      }
      const etag = `"${name.split('-')[2]!.slice(0, HASH_DIGITS)}"`
      // Not before it is known that the caller may have it; whether it is there no longer matters to who has it.
      if (request.headers['if-none-match'] === etag) return reply.code(304).header('etag', etag).send()
      const key = keys.image(id, name)
      if (config.images === 'redirect' && request.query.proxy !== 1) {
        return reply.redirect(await store.presignGet(key, { expiresSeconds: URL_LIFE_SECONDS }), 307)
      }
      const stream = await store.getStream(key)
      if (stream === null) throw new DarkroomError('NOT_FOUND', `the batch has no image ${name}`)
      // The name holds the content's hash.
      reply.header('cache-control', 'private, max-age=31536000, immutable').header('etag', etag)
      return reply.type(stream.contentType).header('content-length', stream.size).send(stream.body)
    },
  })
}
