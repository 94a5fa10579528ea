import type { BatchJson } from './gateway-client.ts'

/** One line for a batch: items done, rate, time left. */
export function progressLine(batch: BatchJson): string {
  const done = batch.itemCount - batch.items.open
  const parts = [
    `${batch.id}  ${stateOf(batch)}`,
    `${done}/${batch.itemCount} items`,
    `${batch.imagesPerSecond.toFixed(2)} images/s`,
    batch.items.open === 0 ? null : `ETA ${batch.etaSeconds === null ? '…' : duration(batch.etaSeconds)}`,
    batch.approval?.state === 'waiting' ? `darkroom approve ${batch.id}` : null,
    batch.atRisk ? `will miss ${batch.completeBy}` : null,
    batch.items.failed > 0 ? `${batch.items.failed} failed` : null,
  ]
  return parts.filter((part) => part !== null).join('  ')
}

/** One word, or more for a batch of which nothing starts. */
export function stateOf({ state, paused, pausedItems, approval, endedAt }: BatchJson): string {
  if (endedAt !== null) return state
  if (paused) return `${state} (paused)`
  if (pausedItems) return `${state} (items ${shortened(pausedItems)} paused)`
  return approval?.state === 'waiting' ? `${state} (waits for a yes)` : state
}

/** Many runs would fill the line. */
function shortened(ranges: string): string {
  return ranges.length > 24 ? `${ranges.slice(0, ranges.lastIndexOf(',', 24) + 1)}…` : ranges
}

export function duration(seconds: number): string {
  const s = Math.round(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
}
