import { Type } from 'typebox'
import type { TSchema } from 'typebox'
import type { ObjectStore } from '@darkroom/chassis'
import { ageOf } from './ids.ts'

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

export interface PageQuery {
  readonly limit: number
  readonly after?: string
  readonly order: 'asc' | 'desc'
}

/** Things of a page that are read at the same time. */
const READ_AT_ONCE = 8

/**
 * Ids of what lies in a tenant's folder, as far as a page may have it: nothing older is listed than what an ascending page goes on
 * behind, nothing younger than what a descending one does.
 * @param head what all ids there begin with, such as batch_
 */
export async function idsIn(
  store: ObjectStore,
  folder: string,
  head: string,
  { after, order }: PageQuery,
): Promise<readonly string[]> {
  const limit = after === undefined ? null : ageOf(after)
  const ids: string[] = []
  const startAfter = order === 'asc' && limit !== null ? { startAfter: folder + head + limit } : {}
  for await (const prefix of store.listPrefixes(folder, startAfter)) {
    const id = prefix.slice(folder.length, -1)
    if (order === 'desc' && limit !== null && ageOf(id) > limit) break
    ids.push(id)
  }
  return ids
}

/** One page of things by their ids, which come in any order. `read` says null for what does not belong to the list. */
export async function pageOf<T extends { readonly id: string }>(
  ids: readonly string[],
  { limit, after, order }: PageQuery,
  read: (id: string) => Promise<T | null>,
) {
  const sign = order === 'asc' ? 1 : -1
  const behind = ids
    .filter((id) => after === undefined || sign * byAge(id, after) > 0)
    .toSorted((a, b) => sign * byAge(a, b))
  const found: T[] = []
  for (let at = 0; at < behind.length && found.length <= limit;) {
    const some = behind.slice(at, at + Math.min(READ_AT_ONCE, limit + 1 - found.length))
    found.push(...(await Promise.all(some.map(read))).filter((entry) => entry !== null))
    at += some.length
  }
  const data = found.slice(0, limit)
  return {
    object: 'list' as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: found.length > limit,
  }
}

/** Files of results are as old as their batch; where two are of one age their ids decide. */
function byAge(a: string, b: string): number {
  const [x, y] = [ageOf(a) + a, ageOf(b) + b]
  return x < y ? -1 : Number(x > y)
}
