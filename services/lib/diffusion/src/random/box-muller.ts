const { fround } = Math

const LOG_POLYNOMIAL = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
  -2.4999993993e-1, 3.3333331174e-1,
].map(fround) // prettier-ignore
const LN2_HIGH = 0.693359375
const LN2_LOW = fround(-2.1219444e-4)
const SQRT_HALF = fround(Math.SQRT1_2)

const FOUR_OVER_PI = fround(1.27323954473516)
const PI_OVER_4 = [-0.78515625, -2.4187564849853516e-4, -3.77489497744594108e-8].map(fround) as [
  number,
  number,
  number,
]
const SIN_POLYNOMIAL = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(fround) as [number, number, number]
const COS_POLYNOMIAL = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(fround) as [
  number,
  number,
  number,
]
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
  let y = LOG_POLYNOMIAL[0]!
  for (let k = 1; k < LOG_POLYNOMIAL.length; k++) y = fround(y * m + LOG_POLYNOMIAL[k]!)
  y = fround(y * m)
  y = fround(y * z + fround(exponent * LN2_LOW))
  y = fround(z * -0.5 + y)
  return fround(exponent * LN2_HIGH + fround(m + y))
}

/**
 * Turns 16 uniform numbers of [0, 1) into 16 normal ones in place: ATen's `normal_fill_16_AVX2`, bit for bit, with the
 * logarithm, sine and cosine of its avx_mathfun.h (Cephes polynomials), multiply-adds fused as the compiler fuses them.
 */
export function boxMuller16(data: Float32Array, start: number): void {
  const [p1, p2, p3] = PI_OVER_4
  const [s0, s1, s2] = SIN_POLYNOMIAL
  const [c0, c1, c2] = COS_POLYNOMIAL
  for (let j = start; j < start + 8; j++) {
    const radius = fround(Math.sqrt(fround(-2 * logF32(fround(1 - data[j]!)))))
    const theta = fround(TWO_PI * data[j + 8]!)

    const octant = (Math.trunc(fround(theta * FOUR_OVER_PI)) + 1) & ~1
    const x = fround(octant * p3 + fround(octant * p2 + fround(octant * p1 + theta)))
    const z = fround(x * x)
    const cosine = fround(fround(fround(fround(fround(c0 * z + c1) * z + c2) * z) * z - fround(z * 0.5)) + 1)
    const sine = fround(fround(fround(fround(s0 * z + s1) * z + s2) * z) * x + x)

    const isSwapped = (octant & 2) !== 0
    const sinTheta = (octant & 4 ? -1 : 1) * (isSwapped ? cosine : sine)
    const cosTheta = (~(octant - 2) & 4 ? -1 : 1) * (isSwapped ? sine : cosine)
    data[j] = radius * cosTheta
    data[j + 8] = radius * sinTheta
  }
}
