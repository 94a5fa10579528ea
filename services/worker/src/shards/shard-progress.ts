import type { RenderState } from '../engine/messages.ts'
import type { FinishedImage } from './item-result.ts'
import type { RenderedBy } from './provenance.ts'
import { readPlainData, writePlainData } from './plain-data.ts'

/** An image by its place: index of its item in the batch, and its number in the item. */
export type ImagePlace = `${number}-${number}`

/** How far the images of a shard are; those that have not begun are left out. */
export interface ShardProgress {
  readonly finished: ReadonlyMap<ImagePlace, FinishedImage>
  readonly begun: ReadonlyMap<ImagePlace, RenderState>
}

/** Whose progress it is, and who may go on with it: the same versions on the same kind of device draw the same pictures. */
export interface ProgressOwner {
  readonly batchId: string
  readonly shardId: string
  readonly renderedBy: RenderedBy
}

export function placeOf(index: number, n: number): ImagePlace {
  return `${index}-${n}`
}

/**
 * The object `batches/ID/progress/SHARD`. Any attempt may overwrite it at any time, also a slow one with less than there was:
 * from every one that is valid the identical pictures follow, so that a lost race costs steps and nothing else.
 */
export function encodeProgress(owner: ProgressOwner, { finished, begun }: ShardProgress): Buffer {
  return writePlainData({ owner, finished: [...finished], begun: [...begun] })
}

/** @returns why it must not be used where another wrote it for others, or it is damaged */
export function decodeProgress(owner: ProgressOwner, bytes: Uint8Array): ShardProgress | 'damaged' | 'foreign' {
  try {
    const stored = readPlainData(bytes) as {
      owner: ProgressOwner
      finished: [ImagePlace, FinishedImage][]
      begun: [ImagePlace, RenderState][]
    }
    if (JSON.stringify(stored.owner) !== JSON.stringify(owner)) return 'foreign'
    return { finished: new Map(stored.finished), begun: new Map(stored.begun) }
  } catch {
    return 'damaged'
  }
}

/** Denoising steps of an image that are behind it. */
export function stepsBehind({ base, lane }: RenderState): number {
  return (base?.steps ?? 0) + (lane?.index ?? 0)
}
