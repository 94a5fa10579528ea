/**
 * The reciprocal square root estimate of AMD's processors (RSQRTPS), which torch's kernel starts from: a bipartite table over
 * 12 bits of the mantissa, in units of 2^-13, for x in [1, 2) and in [2, 4). `steps` are the drops from one run of 16 to
 * the next, `falls` the drops inside a run, one row for each 16 runs; a character is a digit in base 36.
 */
const ESTIMATES = [
  {
    top: 8191,
    steps:
      '0ggfggffgffffffeffefeeeeeeeeededededddddddcddcdcdcdcccccccbccbcbdbbcbbbbbbbbbbabbabababaaabaaaaa' +
      'aaaaa9aa9a9a9a99a99a9999999998998998989898988988988888888888878888788787878787787777877777777777' +
      '8776777767767767676767676676676676666667666666666666656666566656',
    falls:
      '01234567789abcde01233456789aabcd012234566789abbc0122344567789aab001223455677899a011233455667889a' +
      '001223344566788900112234455667880112233445566778001122334455667700112233344556670112223344556667' +
      '0011122333445566001122233444555600111223334455560001112233344455',
  },
  {
    top: 5792,
    steps:
      '0bbcbabbbbabbababaabaaaaa9aaa9a9aa99a99999999999989989898898898888888888887887878787877877787777' +
      '777777776777677676767676676676667666666666666665666566656566565655656556556555565555555555555555' +
      '6455555455545545545455454545454454544544544454445444444544444444',
    falls:
      '011233455677899a00122334556778990012233445667788001223344556677800112233445566770111223344556667' +
      '001122233445556600112223344455660001122233344555001112223334445500111222333444550111222333444455' +
      '0001112222333444000111222233344400111122223333440011112222333344',
  },
].map(({ top, steps, falls }) => {
  let level = top
  const levels = Array.from(steps, (digit) => (level -= Number.parseInt(digit, 36)))
  const drops = Array.from(falls, (digit) => Number.parseInt(digit, 36))
  return Float32Array.from({ length: 4096 }, (_, i) => (levels[i >> 4]! - drops[(i >> 8) * 16 + (i & 15)]!) * 2 ** -13)
}) as [Float32Array, Float32Array]

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

function rsqrtEstimate(x: number): number {
  float[0] = x
  const exponent = (bits[0]! >>> 23) - 127
  const isOdd = (exponent & 1) as 0 | 1
  return ESTIMATES[isOdd][(bits[0]! >>> 11) & 0xfff]! * 2 ** -((exponent - isOdd) / 2)
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
