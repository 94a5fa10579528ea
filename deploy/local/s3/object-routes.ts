import { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { readBody } from './body.ts'
import { S3Error } from './s3-error.ts'
import type { VerifiedRequest } from './signature.ts'
import type { Condition, ObjectHeader, Storage } from './storage.ts'

export interface ObjectCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly verified: VerifiedRequest
  readonly query: URLSearchParams
  readonly bucket: string
  readonly key: string
}

const MAX_KEY_BYTES = 1024

export function metadataOf(request: IncomingMessage): Record<string, string> {
  const own = Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-meta-'))
  return Object.fromEntries(own.map(([name, value]) => [name.slice('x-amz-meta-'.length), String(value)]))
}

export function contentTypeOf(request: IncomingMessage): string {
  return request.headers['content-type'] ?? 'application/octet-stream'
}

export function conditionOf(request: IncomingMessage): Condition {
  const ifNoneMatch = request.headers['if-none-match']
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*')
    throw new S3Error(501, 'NotImplemented', 'A conditional write takes If-None-Match: * only.')
  return { ifNoneMatch, ifMatch: request.headers['if-match'] }
}

export async function putObject(
  { request, response, verified, bucket, key }: ObjectCall,
  storage: Storage,
): Promise<void> {
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw new S3Error(400, 'KeyTooLongError', 'Your key is too long.')
  storage.index(bucket)
  const condition = conditionOf(request)
  const draft = await storage.draft()
  let body
  try {
    body = await readBody(request, verified, (piece) => draft.write(piece))
  } catch (reason) {
    await draft.abandon()
    throw reason
  }
  const header: ObjectHeader = {
    key,
    size: body.bytes,
    etag: body.etag,
    modified: Date.now(),
    contentType: contentTypeOf(request),
    metadata: metadataOf(request),
  }
  await storage.commit(bucket, draft, header, condition)
  const echoed = Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-checksum-'))
  response.writeHead(200, { etag: `"${body.etag}"`, ...Object.fromEntries(echoed) }).end()
}

/** GET and HEAD, whole or a range. */
export async function getObject(
  { request, response, query, bucket, key }: ObjectCall,
  storage: Storage,
): Promise<void> {
  const header = storage.header(bucket, key)
  const etag = `"${header.etag}"`
  const matches = (value: string | undefined): boolean =>
    value !== undefined && (value === '*' || value.split(',').some((one) => one.trim() === etag))
  if (request.headers['if-match'] !== undefined && !matches(request.headers['if-match']))
    throw new S3Error(412, 'PreconditionFailed', 'The ETag differs.')
  if (matches(request.headers['if-none-match'])) return void response.writeHead(304, { etag }).end()
  const range = rangeOf(request.headers.range, header.size)
  const { start, end } = range ?? { start: 0, end: header.size - 1 }
  const isBodyless = request.method === 'HEAD' || header.size === 0
  const file = isBodyless ? null : storage.open(bucket, key)
  response.writeHead(range === null ? 200 : 206, {
    'content-type': query.get('response-content-type') ?? header.contentType,
    'content-length': end - start + 1,
    'last-modified': new Date(header.modified).toUTCString(),
    'accept-ranges': 'bytes',
    etag,
    ...(range !== null && { 'content-range': `bytes ${start}-${end}/${header.size}` }),
    ...(query.get('response-content-disposition') !== null && {
      'content-disposition': query.get('response-content-disposition')!,
    }),
    ...Object.fromEntries(Object.entries(header.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])),
  })
  if (file === null) return void response.end()
  const { descriptor, offset } = file
  const span = { start: offset + start, end: offset + end, highWaterMark: 256 * 1024 }
  await pipeline(createReadStream('', { fd: descriptor, ...span }), response)
}

function rangeOf(header: string | undefined, size: number): { start: number; end: number } | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return null
  const start = match[1] === '' ? Math.max(size - Number(match[2]), 0) : Number(match[1])
  const end = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1)
  if (start >= size || start > end) throw new S3Error(416, 'InvalidRange', 'The requested range is not satisfiable')
  return { start, end }
}
