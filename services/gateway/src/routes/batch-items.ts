import { Type } from 'typebox'
import type { Static } from 'typebox'
import { BatchState, keys } from '@darkroom/proto'
import type { DoneDocument } from '@darkroom/proto'
import { callerOf } from '../auth/caller.ts'
import type { Caller } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { findBatch, findDocument } from '../batches/find-batch.ts'
import type { ImageUrls } from '../auth/image-urls.ts'
import type { GatewayContext } from '../context.ts'
import { nextLink, pageQuery } from '../http/paging.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { readItemPage } from '../items/item-page.ts'
import type { ItemEntry } from '../items/item-page.ts'
import type { ItemState, Standing } from '../items/outcomes.ts'

const STATES = ['queued', 'running', 'rendered', 'failed', 'cancelled'] as const satisfies readonly ItemState[]

const entrySchema = Type.Object({
  index: Type.Integer(),
  customId: Type.String(),
  state: Type.Enum([...STATES]),
  shardId: Type.Union([Type.String(), Type.Null()]),
  request: Type.Object(
    {
      task: Type.String(),
      checkpoint: Type.String({ description: 'The pin.' }),
      prompt: Type.String(),
      negativePrompt: Type.Optional(Type.String()),
      width: Type.Integer(),
      height: Type.Integer(),
      scheduler: Type.String(),
      schedulerConfig: Type.Record(Type.String(), Type.Unknown()),
      numInferenceSteps: Type.Integer(),
      guidanceScale: Type.Number(),
      eta: Type.Number(),
      seed: Type.Integer(),
      numImages: Type.Integer(),
    },
    {
      additionalProperties: true,
      description: 'The item as it was accepted, every default resolved, with whatever else it was given.',
    },
  ),
  images: Type.Array(
    Type.Object({
      n: Type.Integer(),
      seed: Type.Integer(),
      name: Type.String(),
      url: Type.String(),
      sha256: Type.String(),
      bytes: Type.Integer(),
      width: Type.Integer(),
      height: Type.Integer(),
      nsfwContentDetected: Type.Optional(
        Type.Boolean({ description: 'Whether the safety checker made it black; absent where none judged it.' }),
      ),
    }),
  ),
  failedImages: Type.Array(
    Type.Object({ n: Type.Integer(), seed: Type.Integer(), code: Type.String(), message: Type.String() }),
    { description: 'Those of a rendered item that could not be rendered.' },
  ),
  steps: Type.Union([Type.Integer({ description: 'Model calls that were made for its images.' }), Type.Null()]),
  seconds: Type.Union([Type.Number({ description: 'Engine seconds of its images.' }), Type.Null()]),
  warnings: Type.Array(Type.String()),
  error: Type.Union([Type.Object({ code: Type.String(), message: Type.String() }), Type.Null()]),
})

export function batchItems(app: App, context: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/batches/:id/items',
    config: { scope: 'read' },
    schema: {
      operationId: 'batchItems',
      summary: 'Items of a batch, in order, each with its request and what became of it',
      description:
        'With `state`, a page looks through 8,192 items at most: it may be short, go on while there is a nextCursor.',
      tags: ['batches'],
      params: batchIdParams,
      querystring: Type.Object(
        { ...pageQuery(1000, 100, '^[0-9]{1,9}$'), state: Type.Optional(Type.Enum([...STATES])) },
        { additionalProperties: false },
      ),
      response: {
        200: Type.Object({ items: Type.Array(entrySchema), nextCursor: Type.Union([Type.String(), Type.Null()]) }),
        ...problemResponses,
      },
    },
    handler: async (request, reply) => {
      const { limit, cursor = '0', state = null } = request.query
      const document = await findDocument(context, callerOf(request), request.params.id)
      const standing = await standingOf(context, callerOf(request), document.id)
      const query = { from: Number(cursor), limit, states: state === null ? null : [state] }
      const { entries, nextIndex } = await readItemPage(context.store, document, standing, query)
      const nextCursor = nextIndex === null ? null : String(nextIndex)
      if (nextCursor !== null) reply.header('link', nextLink(request, nextCursor))
      return { items: entries.map((entry) => entryJson(context.imageUrls, document.id, entry)), nextCursor }
    },
  })
}

/** Of a batch that has ended the bucket tells all; of another one the coordinator knows what runs. */
async function standingOf(context: GatewayContext, caller: Caller, batchId: string): Promise<Standing> {
  const done = await context.store.getJson<DoneDocument>(keys.done(batchId))
  if (done !== null) return { runningShards: new Set(), isCancelled: done.state === 'cancelled' }
  const { batch } = await findBatch(context, caller, batchId)
  const isCancelled = batch.state === BatchState.CANCELLING || batch.state === BatchState.CANCELLED
  return { runningShards: new Set(batch.runningShards), isCancelled }
}

function entryJson(urls: ImageUrls, batchId: string, { line, outcome }: ItemEntry): Static<typeof entrySchema> {
  const { index, customId, negativePrompt, ...request } = line
  const { state, shardId, result } = outcome
  const rendered = result?.state === 'rendered' ? result : null
  return {
    index,
    customId,
    state,
    shardId,
    request: { ...request, ...(negativePrompt !== undefined && { negativePrompt }) },
    images: (rendered?.images ?? []).map((image) => ({
      ...image,
      url: urls.of(batchId, image.name),
    })),
    failedImages: [...(rendered?.failedImages ?? [])],
    steps: rendered?.steps ?? null,
    seconds: rendered?.seconds ?? null,
    warnings: [...(rendered?.warnings ?? [])],
    error: result === null || result.state === 'rendered' ? null : { code: result.code, message: result.message },
  }
}
