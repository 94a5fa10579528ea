import type { CommitRecord, ItemResult } from './documents.ts'

/** What two attempts of a shard made differently; the same request makes the same pictures. */
export interface Difference {
  readonly differingItems: number[]
  /** Who wrote the record that won; empty where the coordinator did. */
  readonly recordWorkerId: string
}

/** Compares the pictures of both, by their bytes. An image that one of them could not make is no other picture. */
export function differenceOf(own: CommitRecord, stored: CommitRecord | null): Difference {
  if (own.kind !== 'rendered' || stored?.kind !== 'rendered') return { differingItems: [], recordWorkerId: '' }
  const others = new Map(stored.items.map((item) => [item.index, hashesOf(item)]))
  const differing = own.items.filter((item) =>
    hashesOf(item)
      .entries()
      .some(([n, sha256]) => (others.get(item.index)?.get(n) ?? sha256) !== sha256),
  )
  return { differingItems: differing.map(({ index }) => index), recordWorkerId: stored.workerId }
}

function hashesOf(item: ItemResult): Map<number, string> {
  return new Map(item.state === 'rendered' ? item.images.map(({ n, sha256 }) => [n, sha256]) : [])
}
