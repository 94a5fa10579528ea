import { createHash } from 'node:crypto'

/** The typed arrays that plain data may hold. */
const ARRAYS = { Float32Array, Uint32Array } as const

type ArrayName = keyof typeof ARRAYS

const DIGEST_BYTES = 32
const LENGTH_BYTES = 4

/**
 * Plain data with typed arrays as bytes: the SHA-256 of all that follows, the length of the head, the head as JSON, then the
 * numbers of each array as they lie in memory, little-endian. Nothing in it is code or names a class, and no bit is rounded.
 * @throws TypeError for what is no plain data: it would come back as something else
 */
export function writePlainData(value: unknown): Buffer {
  const arrays: Uint8Array[] = []
  let offset = 0
  const head = JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'number' && !isJsonNumber(member))
      return { $number: Object.is(member, -0) ? '-0' : String(member) }
    const name = arrayNameOf(member)
    if (name === null) {
      assertPlain(member)
      return member
    }
    const { buffer, byteOffset, byteLength, length } = member as InstanceType<(typeof ARRAYS)[ArrayName]>
    arrays.push(new Uint8Array(buffer, byteOffset, byteLength))
    const placed = { $array: name, offset, length }
    offset += byteLength
    return placed
  })
  const headBytes = Buffer.from(head)
  const lengthBytes = Buffer.alloc(LENGTH_BYTES)
  lengthBytes.writeUInt32LE(headBytes.length)
  const body = [lengthBytes, headBytes, ...arrays]
  const digest = createHash('sha256')
  for (const part of body) digest.update(part)
  return Buffer.concat([digest.digest(), ...body])
}

/** @throws RangeError for bytes that are not exactly what was written */
export function readPlainData(bytes: Uint8Array): unknown {
  const digest = createHash('sha256').update(bytes.subarray(DIGEST_BYTES)).digest()
  if (bytes.length < DIGEST_BYTES + LENGTH_BYTES || digest.compare(bytes.subarray(0, DIGEST_BYTES)) !== 0) {
    throw new RangeError('the bytes are not those that their digest was made of.')
  }
  const body = Buffer.from(bytes.buffer, bytes.byteOffset + DIGEST_BYTES, bytes.length - DIGEST_BYTES)
  const headEnd = LENGTH_BYTES + body.readUInt32LE()
  const numbers = body.subarray(headEnd)
  return JSON.parse(body.toString('utf8', LENGTH_BYTES, headEnd), (_key, member: unknown) => {
    if (typeof member !== 'object' || member === null) return member
    if ('$number' in member) return Number(member.$number)
    if ('$array' in member) return arrayAt(numbers, member as unknown as Placed)
    return member
  })
}

interface Placed {
  readonly $array: ArrayName
  readonly offset: number
  readonly length: number
}

/** A copy, as the numbers may lie at any address. */
function arrayAt(numbers: Buffer, { $array, offset, length }: Placed): InstanceType<(typeof ARRAYS)[ArrayName]> {
  const Numbers = ARRAYS[$array]
  const array = new Numbers(length)
  new Uint8Array(array.buffer).set(numbers.subarray(offset, offset + array.byteLength))
  return array
}

function arrayNameOf(value: unknown): ArrayName | null {
  const names = Object.keys(ARRAYS) as ArrayName[]
  return names.find((name) => value instanceof ARRAYS[name]) ?? null
}

function isJsonNumber(value: number): boolean {
  return Number.isFinite(value) && !Object.is(value, -0)
}

function assertPlain(value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`a ${value.constructor.name} is no plain data.`)
  }
}
