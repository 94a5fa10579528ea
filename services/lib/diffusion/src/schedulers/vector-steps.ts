/**
 * Rounds to float32 what is stored in it. `Math.fround` reads better, but V8's middle tier boxes its result and likes to
 * inline loops as short as these, which are then ten times slower.
 */
const rounded = new Float32Array(3)

/** Writes a x + b y to `out`, each operation rounded to float32 as torch does; `out` may be x or y. */
export function weightedSum(a: number, x: Float32Array, b: number, y: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = a * x[j]!
    rounded[1] = b * y[j]!
    out[j] = rounded[0] + rounded[1]
  }
}

/** Adds weight x to `out`. */
export function addScaled(weight: number, x: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = weight * x[j]!
    out[j] = out[j]! + rounded[0]
  }
}

/** Replaces a predicted original sample in `out` by x + dt (x - original) / sigma: an Euler step. */
export function eulerStep(x: Float32Array, sigma: number, dt: number, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = x[j]! - out[j]!
    rounded[1] = rounded[0] / sigma
    rounded[2] = rounded[1] * dt
    out[j] = x[j]! + rounded[2]
  }
}

/** Writes a x + y to `out`, each operation rounded to float32; `out` may be x or y. */
export function axpy(a: number, x: Float32Array, y: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = a * x[j]!
    out[j] = y[j]! + rounded[0]
  }
}

/** Adds weight factor (x / divisor) to `out`, rounded from the inside out. */
export function addQuotient(x: Float32Array, divisor: number, factor: number, weight: number, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = x[j]! / divisor
    rounded[0] = rounded[0] * factor
    rounded[0] = rounded[0] * weight
    out[j] = out[j]! + rounded[0]
  }
}

/** Replaces a predicted original sample in `out` by start + dt (x - original) / sigma: a step with the slope of another place. */
export function midpointStep(start: Float32Array, x: Float32Array, sigma: number, dt: number, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = x[j]! - out[j]!
    rounded[1] = rounded[0] / sigma
    rounded[2] = rounded[1] * dt
    out[j] = start[j]! + rounded[2]
  }
}
