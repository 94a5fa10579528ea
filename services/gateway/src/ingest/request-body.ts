import type { IncomingMessage } from 'node:http'
import { DarkroomError } from '@darkroom/chassis'

/**
 * The body of a request, chunk by chunk. Leaving the loop early leaves the connection open, so that the refusal reaches the client.
 * @throws DarkroomError INVALID_REQUEST where the client goes away before the end
 */
export async function* requestBody(
  request: IncomingMessage,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer, void> {
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      onChunk(chunk as Buffer)
      yield chunk as Buffer
    }
  } catch (reason) {
    throw new DarkroomError('INVALID_REQUEST', 'the body was cut off; nothing was stored', { cause: reason })
  }
}
