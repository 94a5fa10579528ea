import { SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument, ItemLine } from '@darkroom/proto'
import type { ObjectStore } from '@darkroom/chassis'
import { readItemLines } from './item-lines-of.ts'
import { readOutcomes } from './outcomes.ts'
import type { ItemState, Outcome, Standing } from './outcomes.ts'

/** Segments that one page looks through for items of a state: a bound on its requests. */
const MAX_SEGMENTS = 8

export interface ItemEntry {
  readonly line: ItemLine
  readonly outcome: Outcome
}

export interface ItemPage {
  readonly entries: readonly ItemEntry[]
  /** Where the next page goes on; null at the end. A page may be short, or empty, and yet not be the last. */
  readonly nextIndex: number | null
}

/** Reads items in order from index `from`, all or those of some states, from the bucket. */
export async function readItemPage(
  store: ObjectStore,
  document: BatchDocument,
  standing: Standing,
  query: { readonly from: number; readonly limit: number; readonly states: readonly ItemState[] | null },
): Promise<ItemPage> {
  const entries: ItemEntry[] = []
  let from = query.from
  for (let looked = 0; looked < MAX_SEGMENTS && from < document.itemCount && entries.length < query.limit; looked++) {
    const segment = Math.floor(from / SEGMENT_ITEMS)
    const wanted = query.limit - entries.length
    const segmentEnd = Math.min((segment + 1) * SEGMENT_ITEMS, document.itemCount)
    const end = query.states === null ? Math.min(segmentEnd, from + wanted) : segmentEnd
    const indices = Array.from({ length: end - from }, (_, i) => from + i)
    const outcomes = await readOutcomes(store, document.id, segment, indices, standing)
    const chosen = indices
      .map((index, i) => ({ index, outcome: outcomes[i]! }))
      .filter(({ outcome }) => query.states?.includes(outcome.state) ?? true)
      .slice(0, wanted)
    const lines = await readItemLines(
      store,
      document,
      segment,
      chosen.map(({ index }) => index),
    )
    chosen.forEach(({ outcome }, i) => entries.push({ line: lines[i]!, outcome }))
    from = chosen.length === wanted ? chosen.at(-1)!.index + 1 : end
  }
  return { entries, nextIndex: from < document.itemCount ? from : null }
}
