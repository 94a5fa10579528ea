import { DarkroomError } from '@darkroom/chassis'
import { formatItemRanges, parseItemRanges } from '@darkroom/proto'
import type { BatchDocument, ItemRanges } from '@darkroom/proto'
import { Type } from 'typebox'

/** In a body, up to a thousand runs of indices; in a query, what a request's head has room for. */
const MAX_TEXT = { body: 20_000, query: 4_000 }

/** Items of a batch as a caller names them. */
export const itemsText = (description: string, where: keyof typeof MAX_TEXT = 'body') =>
  Type.String({ minLength: 1, maxLength: MAX_TEXT[where], description, examples: ['3,5-10,40-'] })

/** @throws DarkroomError INVALID_REQUEST that names the field */
export function readItems(field: string, text: string, { id, itemCount }: BatchDocument): ItemRanges {
  const ranges = parseItemRanges(text, itemCount)
  if (typeof ranges !== 'string') return ranges
  const message = `it names items of batch ${id}: ${ranges}`
  throw new DarkroomError('INVALID_REQUEST', `${field} names no items`, { problems: [{ field, message }] })
}

/** @throws DarkroomError INVALID_REQUEST where some are in both */
export function assertApart(both: ItemRanges): void {
  if (both.length === 0) return
  const message = `items ${formatItemRanges(both)} are to be paused too: name them in one of the two`
  const problems = [{ field: 'resumeItems', message }]
  throw new DarkroomError('INVALID_REQUEST', 'items cannot be paused and resumed at once', { problems })
}
