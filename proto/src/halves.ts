import type { PlannedShard } from './documents.ts'

/**
 * The two that a shard is split into, named after it. Both follow from it alone, so that no plan has to be stored for them.
 * @throws Error for a shard of one item, which is a bug
 */
export function halvesOf(shard: PlannedShard): readonly [PlannedShard, PlannedShard] {
  const { id, items } = shard
  if (items.length < 2) throw new Error(`shard ${id} has ${items.length} items and cannot be split`)
  const middle = Math.ceil(items.length / 2)
  const [first, second] = halfIdsOf(id)
  return [
    { ...shard, id: first, items: items.slice(0, middle) },
    { ...shard, id: second, items: items.slice(middle) },
  ]
}

export function halfIdsOf(shardId: string): readonly [string, string] {
  return [`${shardId}a`, `${shardId}b`]
}

/** Whether a shard is a half of another one. */
export function isHalf(shardId: string): boolean {
  return /[ab]$/.test(shardId)
}

/** A shard of a plan, or the half of a half of one, by its id; null where there is none. */
export function findPlanned(planned: readonly PlannedShard[], shardId: string): PlannedShard | null {
  const [, root, path] = /^(.*?)([ab]*)$/.exec(shardId)!
  let shard = planned.find(({ id }) => id === root) ?? null
  for (const letter of path!) {
    if (shard === null || shard.items.length < 2) return null
    shard = halvesOf(shard)[letter === 'a' ? 0 : 1]
  }
  return shard
}

/** A shard with its record and, where that says that it was split, its halves with theirs, in the order of their items. */
export async function readShard<R extends { readonly kind: string }>(
  shard: PlannedShard,
  readRecord: (shardId: string) => Promise<R | null>,
): Promise<{ readonly shard: PlannedShard; readonly record: R | null }[]> {
  const record = await readRecord(shard.id)
  const own = { shard, record }
  if (record?.kind !== 'split' || shard.items.length < 2) return [own]
  const halves = await Promise.all(halvesOf(shard).map((half) => readShard(half, readRecord)))
  return [own, ...halves.flat()]
}
