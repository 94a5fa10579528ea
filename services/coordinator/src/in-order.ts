/** What becomes of each item, in order, with so many under way at once. */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  atOnce: number,
  action: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = []
  for (const item of items) {
    const result = action(item)
    // Its failure is thrown in its turn, or not at all where one before it failed.
    result.catch(() => {})
    underWay.push(result)
    if (underWay.length === atOnce) yield await underWay.shift()!
  }
  for (const result of underWay) yield await result
}
