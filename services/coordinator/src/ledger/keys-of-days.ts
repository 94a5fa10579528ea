import type { ObjectStore } from '@darkroom/chassis'

/** Keys `PREFIX/DAY/…` of both days, YYYY-MM-DD, and of those between. @param prefix ends with '/' */
export async function keysOfDays(
  store: ObjectStore,
  prefix: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of store.list(prefix, { startAfter: `${prefix}${from}/` })) {
    if (key.slice(prefix.length, prefix.length + to.length) > to) break
    found.push(key)
  }
  return found
}
