import { DarkroomError } from '@darkroom/chassis'

/**
 * Waits for what goes on for others too, until the signal; what is waited for goes on without this one.
 * @throws DarkroomError CANCELLED once the signal aborts, else what the promise rejects with
 */
export async function orGivenUp<T>(promise: Promise<T>, signal: AbortSignal, message: string): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(new DarkroomError('CANCELLED', message))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
