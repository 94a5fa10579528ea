import multipart from '@fastify/multipart'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Check } from 'typebox/value'
import { DarkroomError, nullIfNotFound } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { callerOf } from '../auth/caller.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { baseUrl } from '../http/base-url.ts'
import { parseByteRange } from '../http/byte-range.ts'
import { contentResponses, problemResponses } from '../http/problem.ts'
import { expiresAfterSchema } from '../openai/documents.ts'
import type { FileDocument } from '../openai/documents.ts'
import { noFile } from '../openai/files.ts'
import { FORM_LIMITS, readForm } from '../openai/form.ts'
import type { FormFields } from '../openai/form.ts'
import { parseResultFileId, unixSeconds } from '../openai/ids.ts'
import { listSchema, pageOf, pageQuerySchema } from '../openai/page.ts'

/** Of uploads. */
const PURPOSES = ['batch', 'vision', 'user_data'] as const
const RESULT_PURPOSE = 'batch_output'
const DEFAULT_BATCH_LIFE_SECONDS = 30 * 86_400
const MAX_FILENAME = 255
const FORM_FIELDS = new Set(['purpose', 'expires_after[anchor]', 'expires_after[seconds]'])

const fileSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('file'),
  bytes: Type.Integer(),
  created_at: Type.Integer({ description: 'Unix seconds; of a file of results, those of its batch.' }),
  expires_at: Type.Union([Type.Integer(), Type.Null()]),
  filename: Type.String(),
  purpose: Type.String(),
  status: Type.Literal('processed'),
})
type WireFile = Static<typeof fileSchema>

const idParams = Type.Object({ id: Type.String({ maxLength: 100, description: 'Of the file.' }) })

/** OpenAI's Files: uploads, and the results of batches. */
export function openAiFiles(app: App, context: GatewayContext): void {
  const { config, events, store, openAi } = context
  const { files, resultFiles } = openAi

  /** @throws DarkroomError NOT_FOUND */
  const read = async (request: FastifyRequest, id: string): Promise<WireFile> => {
    const { tenant } = callerOf(request)
    const result = parseResultFileId(id)
    if (result === null) return wireFile(await files.get(tenant, id, new Date()))
    const { batch, bytes, createdAt, expiresAt } = await resultFiles.describe(tenant, result, baseUrl(config, request))
    return {
      id,
      object: 'file',
      bytes,
      created_at: unixSeconds(createdAt),
      expires_at: expiresAt === null ? null : unixSeconds(expiresAt),
      filename: `${batch.id}_${result.kind}.jsonl`,
      purpose: RESULT_PURPOSE,
      status: 'processed',
    }
  }

  app.register(async (scope: App) => {
    await scope.register(multipart, { limits: FORM_LIMITS, throwFileSizeLimit: false })
    scope.route({
      method: 'POST',
      url: '/v1/files',
      config: {
        scope: 'write',
        documentedBody: {
          content: {
            'multipart/form-data': {
              schema: Type.Object({
                file: Type.String({ format: 'binary' }),
                purpose: Type.Enum([...PURPOSES]),
                expires_after: Type.Optional(expiresAfterSchema),
              }),
            },
          },
        },
      },
      schema: {
        operationId: 'openAiCreateFile',
        summary: 'Upload a file',
        description: `Of at most ${config.maxFileBytes} bytes; it is stored as it comes in, and purpose may follow it. Files of batches expire after 30 days unless expires_after says otherwise.`,
        tags: ['openai'],
        response: { 200: fileSchema, ...problemResponses },
      },
      handler: async (request) => {
        const { tenant } = callerOf(request)
        const now = new Date()
        const received: { id: string; bytes: number; filename: string }[] = []
        try {
          const fields = await readForm(request, async ({ fieldname, filename, file }) => {
            if (fieldname !== 'file' || received.length > 0) throw invalid(fieldname, 'want one file, in the part file')
            const counted = file.on('data', ({ length }: Buffer) => events.bytesRead(length))
            const content = await files.receive(tenant, counted as AsyncIterable<Buffer>, config.maxFileBytes, now)
            received.push({ ...content, filename: filename.toWellFormed().slice(0, MAX_FILENAME) })
          })
          const [content] = received
          if (content === undefined) throw invalid('file', 'is required')
          const document = { ...content, createdAt: now.toISOString(), ...termsOf(fields, now) }
          await files.keep(tenant, document)
          return wireFile(document)
        } catch (reason) {
          for (const { id } of received) await files.delete(tenant, id)
          throw reason
        }
      },
    })
  })

  app.route({
    method: 'GET',
    url: '/v1/files',
    config: { scope: 'read' },
    schema: {
      operationId: 'openAiListFiles',
      summary: 'List files, newest first',
      description:
        'Uploads, and the output and error files of batches (`purpose` batch_output), which are listed as old as their batch.',
      tags: ['openai'],
      querystring: Type.Object(
        {
          ...pageQuerySchema(10_000, 10_000),
          purpose: Type.Optional(Type.String({ examples: [...PURPOSES, RESULT_PURPOSE] })),
        },
        { additionalProperties: false },
      ),
      response: { 200: listSchema(fileSchema), ...problemResponses },
    },
    handler: async (request) => {
      const { tenant } = callerOf(request)
      const { purpose, ...page } = request.query
      const [uploads, results] = await Promise.all([
        purpose === RESULT_PURPOSE ? [] : files.ids(tenant, page),
        purpose === undefined || purpose === RESULT_PURPOSE ? resultFiles.ids(tenant, page) : [],
      ])
      return pageOf([...uploads, ...results], page, async (id) => {
        const file = await read(request, id).catch(nullIfNotFound)
        return purpose === undefined || file?.purpose === purpose ? file : null
      })
    },
  })

  app.route({
    method: 'GET',
    url: '/v1/files/:id',
    config: { scope: 'read' },
    schema: {
      operationId: 'openAiGetFile',
      summary: 'What a file is',
      tags: ['openai'],
      params: idParams,
      response: { 200: fileSchema, ...problemResponses },
    },
    handler: async (request) => read(request, request.params.id),
  })

  app.route({
    method: 'GET',
    url: '/v1/files/:id/content',
    config: { scope: 'read' },
    schema: {
      operationId: 'openAiGetFileContent',
      summary: 'Download a file',
      description: 'Ranges are served.',
      tags: ['openai'],
      params: idParams,
      response: { ...contentResponses('application/octet-stream'), ...problemResponses },
    },
    handler: async (request, reply) => {
      const { id } = request.params
      const { bytes } = await read(request, id)
      return sendContent(context, id, bytes, request, reply)
    },
  })

  app.route({
    method: 'DELETE',
    url: '/v1/files/:id',
    config: { scope: 'write' },
    schema: {
      operationId: 'openAiDeleteFile',
      summary: 'Delete a file',
      description: 'Of a file of results the batch keeps its pictures.',
      tags: ['openai'],
      params: idParams,
      response: {
        200: Type.Object({ id: Type.String(), object: Type.Literal('file'), deleted: Type.Literal(true) }),
        ...problemResponses,
      },
    },
    handler: async (request) => {
      const { id } = request.params
      const { tenant } = callerOf(request)
      await read(request, id)
      const result = parseResultFileId(id)
      if (result === null) await files.delete(tenant, id)
      else await store.put(keys.openAiDeleted(tenant, result.batchId, result.kind), new Date().toISOString())
      return { id, object: 'file' as const, deleted: true as const }
    },
  })
}

async function sendContent(
  { config, store, openAi }: GatewayContext,
  id: string,
  bytes: number,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { tenant } = callerOf(request)
  const range = parseByteRange(request.headers.range, bytes)
  reply.header('accept-ranges', 'bytes').type('application/octet-stream')
  if (range === 'unsatisfiable') return reply.code(416).header('content-range', `bytes */${bytes}`).send()
  const { start, endInclusive } = range ?? { start: 0, endInclusive: bytes - 1 }
  if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${endInclusive}/${bytes}`)
  reply.header('content-length', endInclusive - start + 1)
  const result = parseResultFileId(id)
  if (result !== null) {
    const content = openAi.resultFiles.read(tenant, result, baseUrl(config, request), { start, endInclusive })
    return reply.send(Readable.from(content))
  }
  const stream = await store.getStream(keys.openAiFileContent(tenant, id), range ?? undefined)
  if (stream === null) throw noFile(id)
  return reply.send(stream.body)
}

/** @throws DarkroomError INVALID_REQUEST */
function termsOf(fields: FormFields, now: Date): Pick<FileDocument, 'purpose' | 'expiresAt'> {
  const stranger = Object.keys(fields).find((field) => !FORM_FIELDS.has(field))
  if (stranger !== undefined) throw invalid(stranger, `unknown part: want ${[...FORM_FIELDS].join(', ')} and the file`)
  const { purpose = '' } = fields
  if (!PURPOSES.some((known) => known === purpose)) throw invalid('purpose', `want one of ${PURPOSES.join(', ')}`)
  const anchor = fields['expires_after[anchor]']
  const seconds = fields['expires_after[seconds]']
  if (anchor === undefined && seconds === undefined) {
    const expiresAt = purpose === 'batch' ? after(now, DEFAULT_BATCH_LIFE_SECONDS) : null
    return { purpose, expiresAt }
  }
  const given = { anchor, seconds: Number(seconds) }
  if (!Check(expiresAfterSchema, given)) {
    const { minimum, maximum } = expiresAfterSchema.properties.seconds as { minimum?: number; maximum?: number }
    throw invalid('expires_after', `want the anchor created_at and from ${minimum} to ${maximum} seconds`)
  }
  return { purpose, expiresAt: after(now, given.seconds) }
}

function after(now: Date, seconds: number): string {
  return new Date(now.getTime() + seconds * 1000).toISOString()
}

function invalid(field: string, message: string): DarkroomError {
  return new DarkroomError('INVALID_REQUEST', 'nothing was stored', { problems: [{ field, message }] })
}

function wireFile({ id, bytes, createdAt, filename, purpose, expiresAt }: FileDocument): WireFile {
  return {
    id,
    object: 'file',
    bytes,
    created_at: unixSeconds(createdAt),
    expires_at: expiresAt === null ? null : unixSeconds(expiresAt),
    filename,
    purpose,
    status: 'processed',
  }
}
