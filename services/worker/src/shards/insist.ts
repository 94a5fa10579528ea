import { DarkroomError } from '@darkroom/chassis'
import { setTimeout as delay } from 'node:timers/promises'

const RETRY_MS = 1_000

/**
 * Repeats what the object store or NATS cannot do at the moment, until the signal: an outage delays what is rendered and
 * does not waste it.
 * @throws DarkroomError CANCELLED once the signal aborts, else what the action throws for any other reason
 */
export async function insist<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await action()
    } catch (reason) {
      const { code } = DarkroomError.from(reason)
      if (code !== 'STORE_UNAVAILABLE' && code !== 'NATS_UNAVAILABLE') throw reason
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => {
      throw new DarkroomError('CANCELLED', 'given up while the farm was out of reach')
    })
  }
}
