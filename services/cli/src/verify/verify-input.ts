import type { ObjectStore } from '@darkroom/chassis'
import { SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument, InputPart, ItemLine } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { linesOf } from '../lines.ts'
import type { Audit } from './audit.ts'

/** The accepted items, one segment after the other, each part against what batch.json says of it. */
export async function* readSegments(
  store: ObjectStore,
  batch: BatchDocument,
  audit: Audit,
): AsyncGenerator<{ segment: number; lines: ItemLine[] }> {
  let segment = 0
  for (const part of batch.parts) {
    audit.check(
      part.firstItem === segment * SEGMENT_ITEMS,
      `I1: ${part.key} begins with item ${part.firstItem}, not ${segment * SEGMENT_ITEMS}`,
    )
    for await (const lines of readPart(store, part, audit)) {
      audit.items += lines.length
      for (const [i, { index }] of lines.entries()) {
        const wanted = segment * SEGMENT_ITEMS + i
        audit.check(index === wanted, `I1: ${part.key} has item ${index} where ${wanted} belongs`)
      }
      yield { segment: segment++, lines }
    }
  }
  audit.check(
    audit.items === batch.itemCount,
    `I1: batch.json says ${batch.itemCount} items, the input parts hold ${audit.items}`,
  )
}

async function* readPart(store: ObjectStore, part: InputPart, audit: Audit): AsyncGenerator<ItemLine[]> {
  const object = await store.getStream(part.key)
  if (object === null) {
    audit.violate(`I1: ${part.key} is not there`)
    for (let n = 0; n < part.segmentOffsets.length; n++) yield []
    return
  }
  const hash = createHash('sha256')
  let segments = 0
  let offset = 0
  let lines: ItemLine[] = []
  for await (const line of linesOf(object.body)) {
    if (lines.length === 0) {
      const said = part.segmentOffsets[segments++]
      audit.check(said === offset, `I1: a segment of ${part.key} begins at byte ${offset}, batch.json says ${said}`)
    }
    hash.update(line).update('\n')
    offset += Buffer.byteLength(line) + 1
    const item = audit.parse(line, part.key)
    if (item !== null) lines.push(item as ItemLine)
    if (lines.length === SEGMENT_ITEMS) {
      yield lines
      lines = []
    }
  }
  if (lines.length > 0) yield lines
  audit.check(hash.digest('hex') === part.sha256, `I1: ${part.key} has other bytes than were accepted`)
}
