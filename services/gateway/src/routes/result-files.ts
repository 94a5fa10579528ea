import type { FastifyReply, FastifyRequest } from 'fastify'
import { DarkroomError } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { findDocument } from '../batches/find-batch.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { parseByteRange } from '../http/byte-range.ts'
import { contentResponses, problemResponses } from '../http/problem.ts'

const FILES = [
  {
    name: 'output.jsonl',
    key: keys.output,
    operationId: 'getOutput',
    summary: 'Rendered items, one JSON object a line',
  },
  {
    name: 'errors.jsonl',
    key: keys.errors,
    operationId: 'getErrors',
    summary: 'Failed and cancelled items, one a line',
  },
] as const

export function resultFiles(app: App, context: GatewayContext): void {
  for (const { name, key, operationId, summary } of FILES) {
    app.route({
      method: 'GET',
      url: `/api/v1/batches/:id/${name}`,
      config: { scope: 'read' },
      schema: {
        operationId,
        summary,
        description: 'There once the batch has ended, 409 before. Ranges are served.',
        tags: ['results'],
        params: batchIdParams,
        produces: ['application/x-ndjson'],
        response: { ...contentResponses('application/x-ndjson'), ...problemResponses },
      },
      handler: async (request, reply) => {
        const { id } = await findDocument(context, callerOf(request), request.params.id)
        return sendFile(context, key(id), name, request, reply)
      },
    })
  }
}

async function sendFile(
  { store }: GatewayContext,
  key: string,
  name: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const info = await store.head(key)
  if (info === null) {
    throw new DarkroomError(
      'CONFLICT',
      `${name} is written when the batch ends: follow /events, or read /items meanwhile`,
    )
  }
  const range = parseByteRange(request.headers.range, info.size)
  reply.header('accept-ranges', 'bytes').header('etag', info.etag).type('application/x-ndjson')
  if (range === 'unsatisfiable') return reply.code(416).header('content-range', `bytes */${info.size}`).send()
  if (range !== null) {
    reply.code(206).header('content-range', `bytes ${range.start}-${range.endInclusive}/${info.size}`)
  }
  const stream = await store.getStream(key, range ?? undefined)
  if (stream === null) throw new DarkroomError('NOT_FOUND', `${name} is gone`)
  return reply.header('content-length', stream.size).send(stream.body)
}
