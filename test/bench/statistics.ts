/** Linear-interpolated quantile, 0 ≤ q ≤ 1, of at least one number. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * q
  const low = Math.floor(position)
  const high = Math.ceil(position)
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (position - low)
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** `ratio`, `ratioP10`, `ratioP90` of interleaved pairs: what a benchmark may claim on a noisy machine. */
export function ratioSummary(name: string, ratios: readonly number[]): Record<string, number> {
  return {
    [name]: round(median(ratios)),
    [`${name}P10`]: round(quantile(ratios, 0.1)),
    [`${name}P90`]: round(quantile(ratios, 0.9)),
  }
}

export function round(value: number, digits = 3): number {
  return Number(value.toFixed(digits))
}

/** Seconds that an action takes. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await action()
  return (performance.now() - start) / 1000
}
