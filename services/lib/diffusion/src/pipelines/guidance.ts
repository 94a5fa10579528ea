import { elementwise } from '../kernels/elementwise.ts'
import { add, mul, sub } from '../kernels/expression.ts'

const towards = elementwise(([g], [u, c]) => add(u!, mul(g!, sub(c!, u!))))

/**
 * Classifier-free guidance u + g (c - u).
 * @param output rows [unconditional, conditional], each of `size` numbers, from `offset`
 */
export function guide(output: Float32Array, offset: number, size: number, scale: number): Float32Array {
  const guided = new Float32Array(size)
  const row = (n: number): Float32Array => output.subarray(offset + n * size, offset + (n + 1) * size)
  towards([Math.fround(scale)], [row(0), row(1)], guided)
  return guided
}

/**
 * Brings the guided prediction's spread back to the conditional one's, in place.
 * Lin et al. 2023 (arXiv:2305.08891), section 3.4; diffusers `rescale_noise_cfg`.
 */
export function rescaleGuidance(guided: Float32Array, conditional: Float32Array, amount: number): void {
  const factor = deviation(conditional) / deviation(guided)
  const share = amount * factor + 1 - amount
  for (let j = 0; j < guided.length; j++) {
    guided[j] = guided[j]! * share
  }
}

/** Unbiased, as torch's `std`. */
function deviation(values: Float32Array): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  return Math.fround(Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1)))
}
