import { Type } from 'typebox'
import type { TSchema } from 'typebox'

/** How OpenAI's lists are asked for. */
export function pageQuerySchema(maximum: number, fallback: number) {
  return {
    limit: Type.Integer({ minimum: 1, maximum, default: fallback }),
    after: Type.Optional(Type.String({ maxLength: 100, description: 'The last id of the page before.' })),
    order: Type.Enum(['asc', 'desc'], { default: 'desc', description: 'By age; desc begins with the newest.' }),
  }
}

export function listSchema<T extends TSchema>(entry: T) {
  return Type.Object({
    object: Type.Literal('list'),
    data: Type.Array(entry),
    first_id: Type.Union([Type.String(), Type.Null()]),
    last_id: Type.Union([Type.String(), Type.Null()]),
    has_more: Type.Boolean(),
  })
}

/** One page of things by their ids, which come oldest first. `read` says null for what does not belong to the list. */
export async function pageOf<T extends { readonly id: string }>(
  ids: readonly string[],
  { limit, after, order }: { readonly limit: number; readonly after?: string; readonly order: 'asc' | 'desc' },
  read: (id: string) => Promise<T | null>,
) {
  const ordered = order === 'asc' ? ids : ids.toReversed()
  const from = after === undefined ? 0 : ordered.findIndex((id) => (order === 'asc' ? id > after : id < after))
  const data: T[] = []
  let hasMore = false
  for (const id of from === -1 ? [] : ordered.slice(from)) {
    const entry = await read(id)
    if (entry === null) continue
    hasMore = data.length === limit
    if (hasMore) break
    data.push(entry)
  }
  return {
    object: 'list' as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  }
}
