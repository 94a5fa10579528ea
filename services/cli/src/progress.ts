import cliProgress from 'cli-progress'
import type { BatchJson } from './gateway-client.ts'

const PLAIN_INTERVAL_MS = 2_000

/** One line for a batch: items done, rate, time left. */
export function progressLine(batch: BatchJson): string {
  const done = batch.itemCount - batch.items.open
  const parts = [
    `${batch.id}  ${stateOf(batch)}`,
    `${done}/${batch.itemCount} items`,
    `${batch.imagesPerSecond.toFixed(2)} images/s`,
    batch.items.open === 0 ? null : `ETA ${batch.etaSeconds === null ? '…' : duration(batch.etaSeconds)}`,
    batch.atRisk ? `will miss ${batch.completeBy}` : null,
    batch.items.failed > 0 ? `${batch.items.failed} failed` : null,
  ]
  return parts.filter((part) => part !== null).join('  ')
}

/** One word, or two for a batch of which nothing starts. */
export function stateOf({ state, paused, endedAt }: Pick<BatchJson, 'state' | 'paused' | 'endedAt'>): string {
  return paused && endedAt === null ? `${state} (paused)` : state
}

export function duration(seconds: number): string {
  const s = Math.round(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
}

/** Shows a batch as it goes on: a bar on a terminal, a line every few seconds elsewhere. */
export async function showProgress(updates: AsyncIterable<BatchJson>, isTerminal: boolean): Promise<void> {
  let last: BatchJson | null = null
  const bar = isTerminal
    ? new cliProgress.SingleBar(
        { format: '{id} {bar} {value}/{total} items  {rate} images/s  {left}', hideCursor: true, barsize: 30 },
        cliProgress.Presets.shades_classic,
      )
    : null
  let printedAt = 0
  try {
    for await (const batch of updates) {
      const done = batch.itemCount - batch.items.open
      const left =
        batch.items.open === 0 ? batch.state : `ETA ${batch.etaSeconds === null ? '…' : duration(batch.etaSeconds)}`
      const payload = { id: batch.id, rate: batch.imagesPerSecond.toFixed(2), left }
      if (bar !== null && last === null) bar.start(batch.itemCount, done, payload)
      bar?.update(done, payload)
      const isDue = performance.now() - printedAt >= PLAIN_INTERVAL_MS || batch.items.open === 0
      if (bar === null && isDue) {
        if (last === null || progressLine(batch) !== progressLine(last)) console.log(progressLine(batch))
        printedAt = performance.now()
      }
      last = batch
    }
  } finally {
    bar?.stop()
  }
}
