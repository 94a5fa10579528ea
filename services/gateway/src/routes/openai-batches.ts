import { Type } from 'typebox'
import { DarkroomError, nullIfNotFound } from '@darkroom/chassis'
import { callerOf } from '../auth/caller.ts'
import { termsOf } from '../auth/tenants.ts'
import { traceparentOf } from '../batches/traceparent.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { quotaHeaders } from '../http/quota-headers.ts'
import { imagesOf, quotaOf } from '../ingest/daily-images.ts'
import { batchRequestSchema, windowSeconds } from '../openai/documents.ts'
import type { OpenAiBatchDocument } from '../openai/documents.ts'
import { openAiBatchSchema, viewOpenAiBatch } from '../openai/batch-view.ts'
import type { OpenAiBatch } from '../openai/batch-view.ts'
import { createOpenAiBatchId } from '../openai/ids.ts'
import { listSchema, pageOf, pageQuerySchema } from '../openai/page.ts'

const idParams = Type.Object({ id: Type.String({ maxLength: 100, description: 'Of the batch.' }) })

/** OpenAI's Batches. */
export function openAiBatches(app: App, context: GatewayContext): void {
  const { config, store, openAi, coordinator, auditLog } = context
  const { files, batches } = openAi

  /** @throws DarkroomError NOT_FOUND, also where it is being deleted */
  const view = async (tenant: string, id: string): Promise<OpenAiBatch> => {
    const { document, outcome } = await batches.get(tenant, id)
    return viewOpenAiBatch(context, document, outcome)
  }

  app.route({
    method: 'POST',
    url: '/v1/batches',
    config: { scope: 'write' },
    schema: {
      operationId: 'openAiCreateBatch',
      summary: 'Render a file of requests',
      description:
        'The file is checked as a whole after the answer: one bad line fails the batch, and `errors` names up to twenty. The output file has addresses of pictures; of lines that say `response_format` b64_json it has the pictures themselves.',
      tags: ['openai'],
      body: batchRequestSchema,
      response: { 200: openAiBatchSchema, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { input_file_id, endpoint, completion_window, metadata, output_expires_after } = request.body
      const { tenant } = callerOf(request)
      const now = new Date()
      await assertUsable(context, tenant, input_file_id, now)
      const { imagesPerDay } = termsOf(config.tenants, tenant)
      if (imagesPerDay !== null) quotaHeaders(reply)(quotaOf(imagesPerDay, await imagesOf(store, tenant, now), now))
      const document: OpenAiBatchDocument = {
        id: createOpenAiBatchId(now),
        tenant,
        input_file_id,
        endpoint,
        completion_window,
        createdAt: now.toISOString(),
        expiresAt: new Date(now.getTime() + windowSeconds(completion_window) * 1000).toISOString(),
        metadata: metadata ?? {},
        outputSeconds: output_expires_after?.seconds ?? null,
        traceparent: traceparentOf(request.headers['traceparent']),
      }
      await batches.create(document)
      return viewOpenAiBatch(context, document, null)
    },
  })

  app.route({
    method: 'GET',
    url: '/v1/batches',
    config: { scope: 'read' },
    schema: {
      operationId: 'openAiListBatches',
      summary: 'List batches, newest first',
      tags: ['openai'],
      querystring: Type.Object(pageQuerySchema(100, 20), { additionalProperties: false }),
      response: { 200: listSchema(openAiBatchSchema), ...problemResponses },
    },
    handler: async (request) => {
      const { tenant } = callerOf(request)
      const ids = await batches.ids(tenant, request.query)
      return pageOf(ids, request.query, async (id) => view(tenant, id).catch(nullIfNotFound))
    },
  })

  app.route({
    method: 'GET',
    url: '/v1/batches/:id',
    config: { scope: 'read' },
    schema: {
      operationId: 'openAiGetBatch',
      summary: 'How a batch stands',
      tags: ['openai'],
      params: idParams,
      response: { 200: openAiBatchSchema, ...problemResponses },
    },
    handler: async (request) => view(callerOf(request).tenant, request.params.id),
  })

  app.route({
    method: 'POST',
    url: '/v1/batches/:id/cancel',
    config: { scope: 'write' },
    schema: {
      operationId: 'openAiCancelBatch',
      summary: 'Cancel a batch',
      description: 'What was rendered stays, and is in the output file.',
      tags: ['openai'],
      params: idParams,
      response: { 200: openAiBatchSchema, ...problemResponses },
    },
    handler: async (request) => {
      const { document, outcome } = await batches.get(callerOf(request).tenant, request.params.id)
      const known = outcome ?? (await batches.cancelCheck(document))
      if (known.kind === 'accepted') await coordinator.cancelBatch({ batchId: known.document.id })
      await auditLog.note(request, 'batch.cancel', document.id)
      return viewOpenAiBatch(context, document, known)
    },
  })

  async function assertUsable(_: GatewayContext, tenant: string, fileId: string, now: Date): Promise<void> {
    const file = await files.get(tenant, fileId, now).catch(nullIfNotFound)
    const message =
      file === null
        ? 'there is no such file: upload it to /v1/files first'
        : file.purpose === 'batch'
          ? null
          : `the file's purpose is ${file.purpose}: upload it with the purpose batch`
    if (message === null) return
    throw new DarkroomError('INVALID_REQUEST', 'the batch was not made', {
      problems: [{ field: 'input_file_id', value: fileId, message }],
    })
  }
}
