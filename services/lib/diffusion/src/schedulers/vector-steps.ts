import { elementwise } from '../kernels/elementwise.ts'
import { add, constant, mul, rounded } from '../kernels/expression.ts'

const sumOfTwo = elementwise(([a, b], [x, y]) => add(mul(a!, x!), mul(b!, y!)))
const roundedSumOfTwo = elementwise(([a, b], [x, y]) => rounded.add(rounded.mul(a!, x!), rounded.mul(b!, y!)))
const sumOfMany = elementwise((weights, vectors) =>
  weights.map((weight, k) => mul(weight, vectors[k]!)).reduce((a, b) => add(a, b)),
)
const quotientPlus = elementwise(([a, divisor], [x, y]) => rounded.add(rounded.mul(a!, x!), rounded.div(y!, divisor!)))
const quotientMinus = elementwise(([a, b, divisor], [x, y]) =>
  rounded.sub(rounded.mul(a!, x!), rounded.div(rounded.mul(b!, y!), divisor!)),
)
const scaledPlus = elementwise(([a], [x, y]) => rounded.add(rounded.mul(a!, x!), y!))
const quotientScaledPlus = elementwise(([divisor, factor, weight], [x, sum]) =>
  rounded.add(sum!, rounded.mul(rounded.mul(rounded.div(x!, divisor!), factor!), weight!)),
)
const alongSlope = elementwise(([sigma, dt], [start, x, original]) =>
  rounded.add(start!, rounded.mul(rounded.div(rounded.sub(x!, original!), sigma!), dt!)),
)
const alongSlopes = elementwise((weights, [start, ...slopes]) =>
  rounded.add(start!, slopes.map((slope, k) => rounded.mul(weights[k]!, slope)).reduce(rounded.add)),
)
const minusScaled = elementwise(([b], [x, y]) => rounded.sub(x!, rounded.mul(b!, y!)))
const meanOfTwo = elementwise((_, [x, y]) => rounded.mul(constant(0.5), rounded.add(x!, y!)))
const quotient = elementwise(([divisor], [x]) => rounded.div(x!, divisor!))
const product = elementwise(([a], [x]) => rounded.mul(a!, x!))

/** Writes a x + b y to `out`, summed in double and rounded once. In all of these `out` may be one of the vectors. */
export function weightedSum(a: number, x: Float32Array, b: number, y: Float32Array, out: Float32Array): void {
  sumOfTwo([a, b], [x, y], out)
}

/** As `weightedSum`, each operation rounded to float32 as torch does: for terms that cancel, where the roundings are what remains. */
export function roundedSum(a: number, x: Float32Array, b: number, y: Float32Array, out: Float32Array): void {
  roundedSumOfTwo([a, b], [x, y], out)
}

/** Writes the sum of weights[k] vectors[k], in double and rounded once. */
export function combine(weights: readonly number[], vectors: readonly Float32Array[], out: Float32Array): void {
  sumOfMany(weights, vectors, out)
}

/** Writes a x + y / divisor, each operation rounded to float32. */
export function quotientSum(a: number, x: Float32Array, y: Float32Array, divisor: number, out: Float32Array): void {
  quotientPlus([a, divisor], [x, y], out)
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
  quotientMinus([a, b, divisor], [x, y], out)
}

/** Writes (x + y) / 2, each operation rounded to float32. */
export function mean(x: Float32Array, y: Float32Array, out: Float32Array): void {
  meanOfTwo([], [x, y], out)
}

/** Writes a x, rounded to float32. */
export function scale(a: number, x: Float32Array, out: Float32Array): void {
  product([a], [x], out)
}

/** Writes x / divisor, rounded to float32. */
export function divide(x: Float32Array, divisor: number, out: Float32Array): void {
  quotient([divisor], [x], out)
}

/** Writes x - b y, each operation rounded to float32. */
export function subtractScaled(x: Float32Array, b: number, y: Float32Array, out: Float32Array): void {
  minusScaled([b], [x, y], out)
}

/** Adds weight x to `out`, each operation rounded to float32. */
export function addScaled(weight: number, x: Float32Array, out: Float32Array): void {
  scaledPlus([weight], [x, out], out)
}

/** Writes a x + y to `out`, each operation rounded to float32. */
export function axpy(a: number, x: Float32Array, y: Float32Array, out: Float32Array): void {
  scaledPlus([a], [x, y], out)
}

/** Replaces a predicted original sample in `out` by x + dt (x - original) / sigma, as `midpointStep` from x itself. */
export function eulerStep(x: Float32Array, sigma: number, dt: number, out: Float32Array): void {
  midpointStep(x, x, sigma, dt, out)
}

/** Adds weight factor (x / divisor) to `out`, rounded from the inside out. */
export function addQuotient(x: Float32Array, divisor: number, factor: number, weight: number, out: Float32Array): void {
  quotientScaledPlus([divisor, factor, weight], [x, out], out)
}

/**
 * Replaces a predicted original sample in `out` by start + dt (x - original) / sigma: a step with the slope of another place.
 * Each operation is rounded to float32 as torch does: from high noise to low, what the roundings leave is seen.
 */
export function midpointStep(start: Float32Array, x: Float32Array, sigma: number, dt: number, out: Float32Array): void {
  alongSlope([sigma, dt], [start, x, out], out)
}

/** Writes start + the sum of weights[k] slopes[k], each operation rounded to float32. */
export function stepAlong(
  start: Float32Array,
  weights: readonly number[],
  slopes: readonly Float32Array[],
  out: Float32Array,
): void {
  alongSlopes(weights, [start, ...slopes], out)
}
