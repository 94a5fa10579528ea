/**
 * How many things a state holds: entries of all maps, sets and lists that it reaches, each container once. Knows nothing of
 * what they mean, so that it goes on counting whatever the core comes to remember.
 */
export function stateSize(root: unknown): number {
  const seen = new Set<object>()
  const left: unknown[] = [root]
  let size = 0
  for (let value = left.pop(); left.length > 0 || value !== undefined; value = left.pop()) {
    if (typeof value !== 'object' || value === null || seen.has(value)) continue
    seen.add(value)
    if (value instanceof Map) {
      size += value.size
      left.push(...value.values())
    } else if (value instanceof Set || Array.isArray(value)) {
      const list = [...(value as Iterable<unknown>)]
      size += list.length
      left.push(...list)
    } else left.push(...Object.values(value))
  }
  return size
}
