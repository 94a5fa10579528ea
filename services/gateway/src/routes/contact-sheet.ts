import { Readable } from 'node:stream'
import { Type } from 'typebox'
import type { TSchema } from 'typebox'
import { DarkroomError, Limit } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import { callerOf } from '../auth/caller.ts'
import { batchIdParams } from '../batches/batch-id.ts'
import { findDocument } from '../batches/find-batch.ts'
import { drawContactSheet } from '../contact-sheet/draw.ts'
import { layOut } from '../contact-sheet/layout.ts'
import type { SheetCell } from '../contact-sheet/layout.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { readItemPage } from '../items/item-page.ts'

const MAX_PICTURES = 400
const PNG: Record<string, { schema: TSchema }> = { 'image/png': { schema: Type.String({ format: 'binary' }) } }

export function contactSheet(app: App, context: GatewayContext): void {
  const { store } = context
  // Each may hold 200 MB.
  const drawing = new Limit(1)
  app.route({
    method: 'GET',
    url: '/api/v1/batches/:id/contact-sheet',
    config: { scope: 'read' },
    schema: {
      operationId: 'contactSheet',
      summary: 'All pictures of a batch on one',
      description: `A PNG: what a sweep varies first goes down, the rest across. Of a batch that goes on it has what there is. For batches of at most ${MAX_PICTURES} pictures.`,
      tags: ['batches'],
      params: batchIdParams,
      response: {
        200: { description: 'The sheet.', content: PNG },
        ...problemResponses,
      },
    },
    handler: async (request, reply) => {
      const document = await findDocument(context, callerOf(request), request.params.id)
      const { id, itemCount, imageCount } = document
      if (imageCount > MAX_PICTURES) {
        const message = `the batch has ${imageCount} pictures, a sheet at most ${MAX_PICTURES}: darkroom download ${id} fetches them all`
        throw new DarkroomError('INVALID_REQUEST', message)
      }
      // Of what is not rendered the sheet shows nothing, whatever it waits for.
      const standing = { runningShards: new Set<string>(), isCancelled: false }
      const { entries } = await readItemPage(store, document, standing, { from: 0, limit: itemCount, states: null })
      const cells = entries.flatMap(({ line, outcome: { result } }): SheetCell[] =>
        result?.state === 'rendered' ? result.images.map(({ seed, name }) => ({ line, seed, name })) : [],
      )
      if (cells.length === 0) throw new DarkroomError('NOT_FOUND', `no picture of batch ${id} is rendered`)
      const sections = layOut(cells).map(({ title, cells: placed }) => ({
        title,
        pictures: placed.map(({ cell, row, column }) => ({
          row,
          column,
          read: () => store.get(keys.image(id, cell.name)),
        })),
      }))
      const sheet = await drawing.run(() => drawContactSheet(`Darkroom: batch ${id}`, sections))
      reply.type('image/png').header('content-length', sheet.length).header('cache-control', 'no-store')
      return reply.send(Readable.from([sheet]))
    },
  })
}
