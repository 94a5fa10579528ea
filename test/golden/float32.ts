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
