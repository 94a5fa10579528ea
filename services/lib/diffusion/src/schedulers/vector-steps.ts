/**
 * Rounds to float32 what is stored in it. `Math.fround` reads better, but V8's middle tier boxes its result and likes to
 * inline loops as short as these, which are then ten times slower. Each operation has a slot of its own: in one, each would wait
 * for the one before.
 */
const rounded = new Float32Array(3)

/** Writes a x + b y to `out`, summed in double and rounded once; `out` may be x or y. */
export function weightedSum(a: number, x: Float32Array, b: number, y: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) out[j] = a * x[j]! + b * y[j]!
}

/** As `weightedSum`, each operation rounded to float32 as torch does: for terms that cancel, where the roundings are what remains. */
export function roundedSum(a: number, x: Float32Array, b: number, y: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = a * x[j]!
    rounded[1] = b * y[j]!
    out[j] = rounded[0] + rounded[1]
  }
}

/**
 * Writes the sum of weights[k] vectors[k] to `out`, in double and rounded once: at least as exact as torch's float32, and one
 * pass where that takes several. `out` may be among the first four vectors.
 */
export function combine(weights: readonly number[], vectors: readonly Float32Array[], out: Float32Array): void {
  const size = out.length
  const [a = 0, b = 0, c = 0, d = 0] = weights
  const [x, y, z, w] = vectors as readonly [Float32Array, Float32Array, Float32Array, Float32Array]
  if (vectors.length === 2) {
    for (let j = 0; j < size; j++) out[j] = a * x[j]! + b * y[j]!
    return
  }
  if (vectors.length === 3) {
    for (let j = 0; j < size; j++) out[j] = a * x[j]! + b * y[j]! + c * z[j]!
    return
  }
  for (let j = 0; j < size; j++) out[j] = a * x[j]! + b * y[j]! + c * z[j]! + d * w[j]!
  for (let k = 4; k < vectors.length; k += 2) {
    const [e, f] = [weights[k]!, weights[k + 1] ?? 0]
    const [u, v] = [vectors[k]!, vectors[k + 1] ?? vectors[k]!]
    for (let j = 0; j < size; j++) out[j] = out[j]! + (e * u[j]! + f * v[j]!)
  }
}

/** Writes a x + y / divisor, each operation rounded to float32. */
export function quotientSum(a: number, x: Float32Array, y: Float32Array, divisor: number, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = a * x[j]!
    rounded[1] = y[j]! / divisor
    out[j] = rounded[0] + rounded[1]
  }
}

/** Writes a x - b y / divisor, each operation rounded to float32. */
export function quotientDifference(
  a: number,
  x: Float32Array,
  b: number,
  y: Float32Array,
  divisor: number,
  out: Float32Array,
): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = a * x[j]!
    rounded[1] = b * y[j]!
    rounded[2] = rounded[1] / divisor
    out[j] = rounded[0] - rounded[2]
  }
}

/** Adds weight x to `out`, each operation rounded to float32. */
export function addScaled(weight: number, x: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = weight * x[j]!
    out[j] = out[j]! + rounded[0]
  }
}

/** Replaces a predicted original sample in `out` by x + dt (x - original) / sigma, as `midpointStep` from x itself. */
export function eulerStep(x: Float32Array, sigma: number, dt: number, out: Float32Array): void {
  midpointStep(x, x, sigma, dt, out)
}

/** Writes a x + y to `out`, each operation rounded to float32; `out` may be x or y. */
export function axpy(a: number, x: Float32Array, y: Float32Array, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = a * x[j]!
    out[j] = rounded[0] + y[j]!
  }
}

/** Adds weight factor (x / divisor) to `out`, rounded from the inside out. */
export function addQuotient(x: Float32Array, divisor: number, factor: number, weight: number, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = x[j]! / divisor
    rounded[1] = rounded[0] * factor
    rounded[2] = rounded[1] * weight
    out[j] = out[j]! + rounded[2]
  }
}

/**
 * Replaces a predicted original sample in `out` by start + dt (x - original) / sigma: a step with the slope of another place.
 * Each operation is rounded to float32 as torch does: from high noise to low, what the roundings leave is seen.
 */
export function midpointStep(start: Float32Array, x: Float32Array, sigma: number, dt: number, out: Float32Array): void {
  const size = out.length
  for (let j = 0; j < size; j++) {
    rounded[0] = x[j]! - out[j]!
    rounded[1] = rounded[0] / sigma
    rounded[2] = rounded[1] * dt
    out[j] = start[j]! + rounded[2]
  }
}

/** Writes start + the sum of weights[k] slopes[k], each operation rounded to float32. */
export function stepAlong(
  start: Float32Array,
  weights: readonly number[],
  slopes: readonly Float32Array[],
  out: Float32Array,
): void {
  const [a = 0, b = 0] = weights
  const [x, y = x] = slopes as readonly [Float32Array, Float32Array?]
  roundedSum(a, x, b, y, out)
  for (let k = 2; k < slopes.length; k++) addScaled(weights[k]!, slopes[k]!, out)
  const size = out.length
  for (let j = 0; j < size; j++) out[j] = start[j]! + out[j]!
}
