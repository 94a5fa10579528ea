import type { BatchDocument } from './documents.ts'

/**
 * Images that the items of a batch ask of each scheduler. Empty where batch.json does not say, or says what cannot be: then
 * nobody knows how much a scheduler has to do.
 */
export function schedulerImagesOf({
  imageCount,
  schedulerImages = {},
}: Pick<BatchDocument, 'imageCount' | 'schedulerImages'>): ReadonlyMap<string, number> {
  const counts = Object.values(schedulerImages)
  const isSound = counts.every((count) => Number.isInteger(count) && count > 0)
  const sum = counts.reduce((all, count) => all + count, 0)
  return new Map(isSound && sum === imageCount ? Object.entries(schedulerImages) : [])
}
