import { once } from 'node:events'
import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * Runs something that a caller waits for without a byte either way: nobody is idle meanwhile. The signal aborts when the caller
 * is gone.
 */
export async function patiently<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  idleMs: number,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const gone = new AbortController()
  void once(reply.raw, 'close')
    .catch(() => {})
    .finally(() => gone.abort())
  request.raw.socket.setTimeout(0)
  try {
    return await action(gone.signal)
  } finally {
    request.raw.socket.setTimeout(idleMs)
  }
}
