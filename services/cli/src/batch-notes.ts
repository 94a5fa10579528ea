import type { BatchJson } from './gateway-client.ts'

/** What a person should know of a batch besides its progress, one line each; none where all is well. */
export function batchNotes({ id, items, imagesFailed, imagesFlagged, itemsWarned }: BatchJson): readonly string[] {
  const { failed, cancelled } = items
  const notes: readonly (readonly [count: number, note: string])[] = [
    [failed + cancelled, `${failed} items failed, ${cancelled} were cancelled: darkroom download ${id} says why`],
    [imagesFailed, `${imagesFailed} images of rendered items failed: failedImages in output.jsonl says why`],
    [imagesFlagged, `${imagesFlagged} images are black: the safety checker flagged them`],
    [itemsWarned, `${itemsWarned} items have warnings, such as a prompt that was cut off: output.jsonl has them`],
  ]
  return notes.filter(([count]) => count > 0).map(([, note]) => note)
}

/** Whether everything that was asked for is there. */
export function isWhole({ items, itemCount, imagesFailed }: BatchJson): boolean {
  return items.rendered === itemCount && imagesFailed === 0
}
