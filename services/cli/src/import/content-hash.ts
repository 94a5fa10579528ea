import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'

const HASH = /^([0-9a-f]{40}|[0-9a-f]{64})$/

/** Whether a text can be the hub's name for a content. */
export function isHash(text: string): boolean {
  return HASH.test(text)
}

/**
 * Whether a file has the content that the hub's name for it says: 64 hex digits are the sha256 of its bytes,
 * 40 the sha1 of git's blob, whose bytes begin with "blob SIZE\0".
 */
export async function hasContent(file: string, etag: string): Promise<boolean> {
  const hash = createHash(etag.length === 64 ? 'sha256' : 'sha1')
  if (etag.length === 40) hash.update(`blob ${(await stat(file)).size}\0`)
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex') === etag
}
