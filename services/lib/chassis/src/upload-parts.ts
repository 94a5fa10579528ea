/** S3 takes parts from 5 MiB up. */
const PART_BYTES = 8 * 1024 * 1024

/** Regroups chunks into buffers of PART_BYTES, the last one shorter. */
export async function* inParts(
  source: AsyncIterable<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void,
): AsyncGenerator<Buffer, undefined> {
  let waiting: Uint8Array[] = []
  let size = 0
  for await (const chunk of source) {
    onChunk(chunk)
    waiting.push(chunk)
    size += chunk.length
    if (size >= PART_BYTES) {
      yield Buffer.concat(waiting)
      waiting = []
      size = 0
    }
  }
  if (size > 0) yield Buffer.concat(waiting)
  return undefined
}
