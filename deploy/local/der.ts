/** The few kinds of DER (X.690) that a certificate is written in. */

function encode(tag: number, content: Buffer): Buffer {
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), content])
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content])
}

export function sequence(...parts: readonly Buffer[]): Buffer {
  return encode(0x30, Buffer.concat(parts))
}

export function set(...parts: readonly Buffer[]): Buffer {
  return encode(0x31, Buffer.concat(parts))
}

/** Of big-endian bytes, the first below 0x80. */
export function integer(bytes: Buffer): Buffer {
  return encode(0x02, bytes)
}

export function boolean(value: boolean): Buffer {
  return encode(0x01, Buffer.from([value ? 0xff : 0]))
}

export function octets(bytes: Buffer): Buffer {
  return encode(0x04, bytes)
}

/** @param unused bits at the end of the last byte that are none */
export function bits(bytes: Buffer, unused = 0): Buffer {
  return encode(0x03, Buffer.concat([Buffer.from([unused]), bytes]))
}

export function utf8(text: string): Buffer {
  return encode(0x0c, Buffer.from(text))
}

/** UTCTime, to the second: years 1950 to 2049. */
export function time(date: Date): Buffer {
  return encode(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replaceAll(/[-T:]/gu, '')}Z`))
}

export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return encode(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f]
  for (let left = value >> 7; left > 0; left >>= 7) bytes.unshift((left & 0x7f) | 0x80)
  return bytes
}

/** Context-specific; holds other values unless it is primitive. */
export function tagged(number: number, content: Buffer, { isPrimitive = false } = {}): Buffer {
  return encode(0x80 | (isPrimitive ? 0 : 0x20) | number, content)
}
