/** Bytes `start` to `endInclusive` of a resource. */
export interface ByteRange {
  readonly start: number
  readonly endInclusive: number
}

/**
 * Reads a Range header (RFC 9110) against a resource of `size` bytes. Null: answer with all of it, as for no header, several
 * ranges or another unit. 'unsatisfiable': the range begins behind the end.
 */
export function parseByteRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  const [first = '', last = ''] = match?.slice(1) ?? []
  if (first === '' && last === '') return null
  if (first === '') {
    const suffix = Number(last)
    return suffix === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - suffix), endInclusive: size - 1 }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return null
  if (start >= size) return 'unsatisfiable'
  return { start, endInclusive: Math.min(last === '' ? size - 1 : Number(last), size - 1) }
}
