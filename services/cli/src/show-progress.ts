import type { BatchJson } from './gateway-client.ts'
import { progressLine } from './progress.ts'
import { ProgressBars } from './progress-bars.ts'

const PLAIN_INTERVAL_MS = 2_000

/** Shows a batch as it goes on: bars on a terminal, a line every few seconds elsewhere. */
export async function showProgress(updates: AsyncIterable<BatchJson>, output: NodeJS.WriteStream): Promise<void> {
  if (!output.isTTY) return printLines(updates)
  using bars = new ProgressBars(output)
  for await (const batch of updates) bars.show(batch)
}

async function printLines(updates: AsyncIterable<BatchJson>): Promise<void> {
  let last = ''
  let printedAt = -Infinity
  for await (const batch of updates) {
    // Nothing may come after the last word, and after what somebody is asked.
    const isLast = batch.items.open === 0 || batch.approval?.state === 'waiting'
    if (performance.now() - printedAt < PLAIN_INTERVAL_MS && !isLast) continue
    const line = progressLine(batch)
    if (line !== last) console.log(line)
    last = line
    printedAt = performance.now()
  }
}
