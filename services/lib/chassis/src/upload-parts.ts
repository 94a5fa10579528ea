/** S3 takes none that is smaller, and ten thousand of an object. */
const PART_BYTES = 8 * 1024 * 1024

/**
 * Regroups chunks into buffers of PART_BYTES, the last one shorter. What is yielded is good until two more were asked for: two
 * buffers take turns, as a new one for each part would be more than the collector of garbage keeps up with.
 */
export async function* inParts(
  source: AsyncIterable<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void,
): AsyncGenerator<Buffer, undefined> {
  const buffers: Buffer[] = []
  let turn = 0
  let waiting: Uint8Array[] = []
  let size = 0
  for await (const chunk of source) {
    onChunk(chunk)
    waiting.push(chunk)
    size += chunk.length
    while (size >= PART_BYTES) {
      const part = (buffers[turn] ??= Buffer.allocUnsafeSlow(PART_BYTES))
      turn = 1 - turn
      const rest = fill(part, waiting)
      waiting = rest.length > 0 ? [rest] : []
      size = rest.length
      yield part
    }
  }
  if (size > 0) yield Buffer.concat(waiting)
  return undefined
}

/** @returns what of the last chunk did not fit */
function fill(part: Buffer, chunks: readonly Uint8Array[]): Uint8Array {
  let at = 0
  for (const chunk of chunks) {
    const fitting = chunk.subarray(0, part.length - at)
    part.set(fitting, at)
    at += fitting.length
    if (fitting.length < chunk.length) return chunk.subarray(fitting.length)
  }
  return new Uint8Array()
}
