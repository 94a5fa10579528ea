import type { FastifyReply } from 'fastify'
import type { TellQuota } from '../ingest/daily-images.ts'

const DAY_SECONDS = 86_400

/**
 * Puts a tenant's images of a day into an answer's RateLimit-Policy and RateLimit (IETF draft, its newest form, which has a name and
 * a unit for each limit). Requests a minute are in the form before it, which has no units.
 */
export function quotaHeaders(reply: FastifyReply): TellQuota {
  return ({ limit, left, resetSeconds }) => {
    reply.header('ratelimit-policy', `"images";q=${limit};qu="images";w=${DAY_SECONDS}`)
    reply.header('ratelimit', `"images";r=${left};t=${resetSeconds}`)
  }
}
