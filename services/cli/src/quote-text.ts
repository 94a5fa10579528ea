import type { QuoteJson } from './gateway-client.ts'
import { duration } from './progress.ts'

/** A quote as people read it. */
export function quoteText(quote: QuoteJson): string {
  const { items, images, deviceSeconds, workers, secondsAlone, secondsBehindAll, isMeasured, price } = quote
  const lines = [`${items} items, ${images} images: ${duration(deviceSeconds)} of a device`]
  if (price !== null) lines.push(`  costs ${price.toFixed(2)}`)
  if (secondsAlone === null || secondsBehindAll === null) lines.push('  no worker is given work now: darkroom workers')
  else {
    const behind = `${duration(secondsBehindAll)} behind all that waits`
    lines.push(`  takes ${duration(secondsAlone)} on ${workers} workers alone, ${behind}`)
  }
  if (!isMeasured) lines.push('  a guess: nothing was rendered with one of its checkpoints lately')
  return lines.join('\n')
}
