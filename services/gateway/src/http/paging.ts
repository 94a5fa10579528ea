import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'

/** Query parameters of every route that answers in pages. */
export function pageQuery(maximum: number, fallback: number, cursor = '^.{0,200}$') {
  return {
    limit: Type.Integer({ minimum: 1, maximum, default: fallback, description: 'Entries of a page, at most.' }),
    cursor: Type.Optional(Type.String({ pattern: cursor, description: 'nextCursor of the page before.' })),
  }
}

/** RFC 8288 Link header for the page after this one: the same query with another cursor. */
export function nextLink(request: FastifyRequest, cursor: string): string {
  const url = new URL(request.url, 'http://localhost')
  url.searchParams.set('cursor', cursor)
  return `<${url.pathname}${url.search}>; rel="next"`
}
