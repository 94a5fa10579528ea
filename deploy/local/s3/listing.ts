import type { ObjectHeader, Storage } from './storage.ts'
import { S3Error } from './s3-error.ts'
import { xml } from './xml.ts'

/** ListObjectsV2: keys in UTF-8 order, folded at the delimiter, a page at a time. */
export function listObjects(storage: Storage, bucket: string, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const maxKeys = Math.min(Number(query.get('max-keys') ?? 1000), 1000)
  if (!(maxKeys >= 0)) throw new S3Error(400, 'InvalidArgument', 'max-keys is not a number.')
  const token = query.get('continuation-token')
  // A token is the last key or folded prefix that was listed.
  const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString()
  const encode =
    query.get('encoding-type') === 'url'
      ? (text: string) => encodeURIComponent(text).replaceAll('%2F', '/')
      : (text: string) => text

  const index = storage.index(bucket)
  const contents: ObjectHeader[] = []
  const prefixes: string[] = []
  let isTruncated = false
  let last = ''
  let keys = index.from(Buffer.compare(Buffer.from(after), Buffer.from(prefix)) > 0 ? after : prefix)
  for (let next = keys.next(); next.done !== true; next = keys.next()) {
    const key = next.value
    if (!key.startsWith(prefix)) break
    if (key === after) continue
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const folded = cut === -1 ? null : key.slice(0, cut + delimiter.length)
    // Everything else in the folded prefix is stepped over at once.
    if (folded !== null) keys = index.from(`${folded}\u{10ffff}`)
    if (folded !== null && after.startsWith(folded)) continue
    if (contents.length + prefixes.length >= maxKeys) {
      isTruncated = true
      break
    }
    if (folded === null) contents.push(index.get(key)!)
    else prefixes.push(folded)
    last = folded ?? key
  }
  return xml('ListBucketResult', {
    Name: bucket,
    Prefix: encode(prefix),
    ...(delimiter !== '' && { Delimiter: encode(delimiter) }),
    ...(query.get('encoding-type') === 'url' && { EncodingType: 'url' }),
    MaxKeys: maxKeys,
    KeyCount: contents.length + prefixes.length,
    IsTruncated: isTruncated,
    ...(isTruncated && { NextContinuationToken: Buffer.from(last).toString('base64url') }),
    Contents: contents.map(({ key, size, etag, modified }) => ({
      Key: encode(key),
      LastModified: new Date(modified).toISOString(),
      ETag: `"${etag}"`,
      Size: size,
      StorageClass: 'STANDARD',
    })),
    CommonPrefixes: prefixes.map((folded) => ({ Prefix: encode(folded) })),
  })
}
