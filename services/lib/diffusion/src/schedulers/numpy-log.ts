const { fround } = Math

/** log(1 + y) = P(y) / Q(y) for sqrt(1/2) < 1 + y <= sqrt(2), lowest power first. */
const P = [0, 1, 2.1126776, 1.4800006, 0.38088378, 0.025899792]
const Q = [1, 2.6126776, 2.453006, 0.9864943, 0.15464763, 0.0058750953]
const [NUMERATOR, DENOMINATOR] = [P.map(fround), Q.map(fround)]
const SQRT_HALF = fround(Math.SQRT1_2)
const LN_2 = fround(Math.LN2)

/**
 * numpy.log of a float32 as numpy's AVX2 and AVX-512 kernels have it (`loops_exponent_log.dispatch.c.src`): the last bit is
 * off for one number in twenty, and a timestep that is cut to an integer may hang on it.
 */
export function numpyLog(x: number): number {
  if (!(x >= 2 ** -126 && x < Infinity)) return fround(Math.log(x))
  let exponent = Math.floor(Math.log2(x)) + 1
  let mantissa = x / 2 ** exponent
  if (mantissa >= 1) {
    mantissa /= 2
    exponent++
  } else if (mantissa < 0.5) {
    mantissa *= 2
    exponent--
  }
  if (mantissa <= SQRT_HALF) {
    mantissa *= 2
    exponent--
  }
  const y = fround(mantissa - 1)
  return fround(exponent * LN_2 + fround(horner(NUMERATOR, y) / horner(DENOMINATOR, y)))
}

/** With fused multiply-adds: a product of two float32 is exact in double. */
function horner(coefficients: readonly number[], y: number): number {
  return coefficients.reduceRight((sum, coefficient) => fround(sum * y + coefficient))
}
