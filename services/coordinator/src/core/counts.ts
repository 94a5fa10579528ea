const NAMES = ['rendered', 'failed', 'cancelled', 'images', 'imagesFailed', 'imagesFlagged', 'itemsWarned'] as const

/**
 * What became of items (the first three) and of the images of those that were rendered. `imagesFailed` are the ones that their
 * items lack.
 */
export type Counts = Record<(typeof NAMES)[number], number>

export function noCounts(): Counts {
  return { rendered: 0, failed: 0, cancelled: 0, images: 0, imagesFailed: 0, imagesFlagged: 0, itemsWarned: 0 }
}

export function addCounts(sum: Counts, more: Readonly<Counts>): void {
  for (const name of NAMES) sum[name] += more[name]
}
