const { fround } = Math

// Coefficients as avx_mathfun.h names them, after Cephes.
const LOG_P0 = fround(7.0376836292e-2)
const LOG_P1 = fround(-1.151461031e-1)
const LOG_P2 = fround(1.167699874e-1)
const LOG_P3 = fround(-1.2420140846e-1)
const LOG_P4 = fround(1.4249322787e-1)
const LOG_P5 = fround(-1.6668057665e-1)
const LOG_P6 = fround(2.0000714765e-1)
const LOG_P7 = fround(-2.4999993993e-1)
const LOG_P8 = fround(3.3333331174e-1)
const LOG_Q1 = fround(-2.1219444e-4)
const LOG_Q2 = 0.693359375
const SQRT_HALF = fround(Math.SQRT1_2)
const FOUR_OVER_PI = fround(1.27323954473516)
const MINUS_DP1 = -0.78515625
const MINUS_DP2 = fround(-2.4187564849853516e-4)
const MINUS_DP3 = fround(-3.774894977445941e-8)
const SIN_P0 = fround(-1.9515295891e-4)
const SIN_P1 = fround(8.3321608736e-3)
const SIN_P2 = fround(-1.6666654611e-1)
const COS_P0 = fround(2.443315711809948e-5)
const COS_P1 = fround(-1.388731625493765e-3)
const COS_P2 = fround(4.166664568298827e-2)
const TWO_PI = fround(2 * Math.PI)

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** ln x of a positive normal float32. fround(a * b + c) is a fused multiply-add here: the product is exact in double. */
function logF32(x: number): number {
  float[0] = x
  let exponent = (bits[0]! >>> 23) - 126
  bits[0] = (bits[0]! & 0x007fffff) | 0x3f000000
  let m = float[0]
  if (m < SQRT_HALF) {
    exponent -= 1
    m = fround(fround(m - 1) + m)
  } else m = fround(m - 1)
  const z = fround(m * m)
  let y = fround(LOG_P0 * m + LOG_P1)
  y = fround(y * m + LOG_P2)
  y = fround(y * m + LOG_P3)
  y = fround(y * m + LOG_P4)
  y = fround(y * m + LOG_P5)
  y = fround(y * m + LOG_P6)
  y = fround(y * m + LOG_P7)
  y = fround(y * m + LOG_P8)
  y = fround(y * m)
  y = fround(y * z + fround(exponent * LOG_Q1))
  y = fround(z * -0.5 + y)
  return fround(exponent * LOG_Q2 + fround(m + y))
}

/**
 * Turns 16 uniform numbers of [0, 1) into 16 normal ones in place: ATen's `normal_fill_16_AVX2`, bit for bit, with the
 * logarithm, sine and cosine of its avx_mathfun.h (Cephes polynomials), multiply-adds fused as the compiler fuses them.
 */
export function boxMuller16(data: Float32Array, start: number): void {
  for (let j = start; j < start + 8; j++) {
    const radius = fround(Math.sqrt(fround(-2 * logF32(fround(1 - data[j]!)))))
    const theta = fround(TWO_PI * data[j + 8]!)

    const octant = (Math.trunc(fround(theta * FOUR_OVER_PI)) + 1) & ~1
    const x = fround(octant * MINUS_DP3 + fround(octant * MINUS_DP2 + fround(octant * MINUS_DP1 + theta)))
    const z = fround(x * x)
    const cosine = fround(
      fround(fround(fround(fround(COS_P0 * z + COS_P1) * z + COS_P2) * z) * z - fround(z * 0.5)) + 1,
    )
    const sine = fround(fround(fround(fround(SIN_P0 * z + SIN_P1) * z + SIN_P2) * z) * x + x)

    const isSwapped = (octant & 2) !== 0
    const sinTheta = (octant & 4 ? -1 : 1) * (isSwapped ? cosine : sine)
    const cosTheta = (~(octant - 2) & 4 ? -1 : 1) * (isSwapped ? sine : cosine)
    data[j] = radius * cosTheta
    data[j + 8] = radius * sinTheta
  }
}
