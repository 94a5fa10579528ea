import { SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument, ItemLine } from '@darkroom/proto'
import type { ObjectStore } from '@darkroom/chassis'

/** Some items of one segment as they were accepted: one ranged read. */
export async function readItemLines(
  store: ObjectStore,
  document: BatchDocument,
  segment: number,
  indices: readonly number[],
): Promise<readonly ItemLine[]> {
  if (indices.length === 0) return []
  const firstItem = segment * SEGMENT_ITEMS
  const part = document.parts.find((candidate) => firstItem < candidate.firstItem + candidate.itemCount)!
  const nth = (firstItem - part.firstItem) / SEGMENT_ITEMS
  const end = (part.segmentOffsets[nth + 1] ?? part.bytes) - 1
  const bytes = await store.getRange(part.key, part.segmentOffsets[nth]!, end)
  const lines = Buffer.from(bytes).toString('utf8').split('\n')
  return indices.map((index) => JSON.parse(lines[index - firstItem]!) as ItemLine)
}
