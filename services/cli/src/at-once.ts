/** Runs `work` for every item, at most `limit` at once. After a failure no further one is begun, and it throws when the others have ended. */
export async function forEachAtOnce<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = (async function* () {
    yield* items
  })()
  const workOff = async (): Promise<void> => {
    try {
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) await work(next.value)
    } finally {
      await iterator.return()
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: limit }, workOff))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
