/** Runs `work` for every item, at most `limit` at once; after a failure no further one is begun. */
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
  await Promise.all(Array.from({ length: limit }, workOff))
}
