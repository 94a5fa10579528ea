/** Float arrays of golden files: base64 of little-endian float32. */
export function decodeFloat32(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64')
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
}

export function encodeFloat32(values: Float32Array): string {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, i) => bytes.writeFloatLE(value, 4 * i))
  return bytes.toString('base64')
}

/** max|difference| / max|expected|; infinite where lengths differ or a number is none. */
export function relativeError(got: Float32Array, want: Float32Array): number {
  if (got.length !== want.length) return Infinity
  const difference = got.reduce(
    (worst, value, i) => Math.max(worst, Number.isNaN(value) ? Infinity : Math.abs(value - want[i]!)),
    0,
  )
  return difference === 0 ? 0 : difference / want.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}
