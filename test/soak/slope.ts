export interface Slope {
  readonly mean: number
  readonly perHour: number
  readonly standardError: number
}

/** Least squares through points [hours, value], at least three. */
export function slopeOf(points: readonly (readonly [hours: number, value: number])[]): Slope {
  const n = points.length
  const meanOf = (k: 0 | 1): number => points.reduce((sum, point) => sum + point[k], 0) / n
  const [hours, mean] = [meanOf(0), meanOf(1)]
  const spread = points.reduce((sum, [x]) => sum + (x - hours) ** 2, 0)
  const perHour = points.reduce((sum, [x, y]) => sum + (x - hours) * (y - mean), 0) / spread
  const residuals = points.reduce((sum, [x, y]) => sum + (y - mean - perHour * (x - hours)) ** 2, 0)
  return { mean, perHour, standardError: Math.sqrt(residuals / (n - 2) / spread) }
}
