const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** 1 / sqrt(x) to 13 bits, from the middle of x's 12-bit interval: what the processor's estimate gives, or its neighbour. */
function rsqrtEstimate(x: number): number {
  float[0] = x
  bits[0] = (bits[0]! & ~0x7ff) | 0x400
  float[0] = 1 / Math.sqrt(float[0])
  bits[0] = (bits[0] + 0x400) & ~0x7ff
  return float[0]
}

/**
 * torch's float32 square root of a tensor: MKL's kernel, an estimate refined twice without fused operations, off by up to
 * 0.75 ulp. A correctly rounded root differs from it for one value in five, and zero terminal SNR, which subtracts two roots
 * and then takes 1 - alpha_bar next to 1, makes a visible error of that last bit.
 */
export function torchSqrt(x: number): number {
  if (x === 0 || x === Infinity) return x
  const { fround } = Math
  const estimate = rsqrtEstimate(x)
  const s0 = fround(x * estimate)
  const h0 = fround(0.5 * estimate)
  const e = fround(0.5 - fround(s0 * h0))
  const s = fround(fround(s0 * e) + s0)
  const h = fround(fround(h0 * e) + h0)
  return fround(fround(fround(x - fround(s * s)) * h) + s)
}
