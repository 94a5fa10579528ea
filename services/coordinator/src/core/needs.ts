/** What a batch's shards need of the worker that renders them. */
export interface Needs {
  /** An execution provider, or null for any. */
  readonly deviceKind: string | null
  /** Of the device; 0 for any. */
  readonly memoryBytes: number
  /** All of them. */
  readonly tags: readonly string[]
}

/** What a worker has. */
export interface Offer {
  readonly deviceKind: string
  /** 0 where the device does not tell, which is taken for enough. */
  readonly memoryBytes: number
  readonly tags: readonly string[]
}

export const NO_NEEDS: Needs = { deviceKind: null, memoryBytes: 0, tags: [] }

/** The same for needs, or offers, that cannot be told apart. */
export function keyOf({ deviceKind, memoryBytes, tags }: Needs | Offer): string {
  return JSON.stringify([deviceKind, memoryBytes, tags.toSorted()])
}

export function meets(offer: Offer, needs: Needs): boolean {
  if (needs.deviceKind !== null && needs.deviceKind !== offer.deviceKind) return false
  if (offer.memoryBytes > 0 && offer.memoryBytes < needs.memoryBytes) return false
  return needs.tags.every((tag) => offer.tags.includes(tag))
}
