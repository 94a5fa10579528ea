import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { S3Error } from './s3-error.ts'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** What a verified signature leaves for the body: how its payload is declared, and the key that signs its chunks. */
export interface VerifiedRequest {
  /** x-amz-content-sha256. */
  readonly payload: string
  readonly chunkSigning: ChunkSigning
}

export interface ChunkSigning {
  readonly key: Buffer
  readonly scope: string
  readonly amzDate: string
  readonly seedSignature: string
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
const MAX_SKEW_MS = 15 * 60 * 1000
export const UNSIGNED = 'UNSIGNED-PAYLOAD'

export function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

export function sha256Hex(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

/** RFC 3986, as SigV4 wants it. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function decode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/**
 * Verifies AWS Signature Version 4, of the Authorization header or of a presigned URL.
 * @throws S3Error 403 with AWS's codes
 */
export function verifySignature(request: IncomingMessage, credentials: Credentials, now: number): VerifiedRequest {
  const [rawPath, rawQuery = ''] = request.url!.split('?', 2) as [string, string?]
  const query = rawQuery
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => pair.split('=', 2).map((part) => decode(part ?? '')))
    .map(([name, value = '']): [string, string] => [name!, value])
  const header = request.headers.authorization
  const claim = header === undefined ? presignedClaim(new Map(query), now) : headerClaim(header, request, now)
  if (claim.accessKeyId !== credentials.accessKeyId) {
    throw new S3Error(403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.')
  }
  const canonical = [
    request.method!,
    rawPath
      .split('/')
      .map((part) => encode(decodeURIComponent(part)))
      .join('/'),
    query
      .filter(([name]) => name !== 'X-Amz-Signature')
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .toSorted((a, b) => (a < b ? -1 : 1))
      .join('&'),
    ...claim.signedHeaders.map((name) => `${name}:${headerText(request, name)}`),
    '',
    claim.signedHeaders.join(';'),
    claim.payload,
  ].join('\n')
  const [date, region, service] = claim.scope.split('/')
  const key = hmac(hmac(hmac(hmac(`AWS4${credentials.secretAccessKey}`, date!), region!), service!), 'aws4_request')
  const expected = hmac(key, [ALGORITHM, claim.amzDate, claim.scope, sha256Hex(canonical)].join('\n'))
  const given = Buffer.from(claim.signature, 'hex')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new S3Error(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided.',
    )
  }
  return {
    payload: claim.payload,
    chunkSigning: { key, scope: claim.scope, amzDate: claim.amzDate, seedSignature: claim.signature },
  }
}

interface Claim {
  readonly accessKeyId: string
  readonly scope: string
  readonly amzDate: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
  readonly payload: string
}

function headerClaim(header: string, request: IncomingMessage, now: number): Claim {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(header)
  const amzDate = headerText(request, 'x-amz-date')
  if (match === null || amzDate === '')
    throw new S3Error(403, 'AccessDenied', 'The Authorization header is not AWS Signature Version 4.')
  if (Math.abs(now - timeOf(amzDate)) > MAX_SKEW_MS) {
    throw new S3Error(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    )
  }
  const signedHeaders = match[3]!.split(';')
  if (!signedHeaders.includes('host')) throw new S3Error(403, 'AccessDenied', 'The host header is not signed.')
  const payload = headerText(request, 'x-amz-content-sha256')
  return { accessKeyId: match[1]!, scope: match[2]!, amzDate, signedHeaders, signature: match[4]!, payload }
}

function presignedClaim(query: ReadonlyMap<string, string>, now: number): Claim {
  const credential = query.get('X-Amz-Credential') ?? ''
  const slash = credential.indexOf('/')
  const amzDate = query.get('X-Amz-Date') ?? ''
  const expiresSeconds = Number(query.get('X-Amz-Expires'))
  if (
    query.get('X-Amz-Algorithm') !== ALGORITHM ||
    slash === -1 ||
    !(expiresSeconds > 0 && expiresSeconds <= 604_800)
  ) {
    throw new S3Error(403, 'AccessDenied', 'The request is not signed.')
  }
  const start = timeOf(amzDate)
  if (now > start + expiresSeconds * 1000 || now < start - MAX_SKEW_MS)
    throw new S3Error(403, 'AccessDenied', 'Request has expired')
  return {
    accessKeyId: credential.slice(0, slash),
    scope: credential.slice(slash + 1),
    amzDate,
    signedHeaders: (query.get('X-Amz-SignedHeaders') ?? '').split(';'),
    signature: query.get('X-Amz-Signature') ?? '',
    payload: UNSIGNED,
  }
}

/** '20261123T043200Z' in milliseconds. */
function timeOf(amzDate: string): number {
  const time = Date.parse(amzDate.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (Number.isNaN(time)) throw new S3Error(403, 'AccessDenied', 'The date of the signature is malformed.')
  return time
}

function headerText(request: IncomingMessage, name: string): string {
  const value = request.headers[name]
  return (Array.isArray(value) ? value.join(',') : (value ?? '')).trim().replace(/\s+/g, ' ')
}
