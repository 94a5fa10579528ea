import type { IncomingMessage } from 'node:http'
import { readBody } from './body.ts'
import { listObjects } from './listing.ts'
import type { MultipartUploads } from './multipart.ts'
import { conditionOf, contentTypeOf, getObject, metadataOf, putObject } from './object-routes.ts'
import type { ObjectCall } from './object-routes.ts'
import { S3Error } from './s3-error.ts'
import type { VerifiedRequest } from './signature.ts'
import type { Storage } from './storage.ts'
import { textsOf, xml } from './xml.ts'

const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024

async function readDocument(request: IncomingMessage, verified: VerifiedRequest): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  await readBody(request, verified, (piece) => {
    bytes += piece.length
    if (bytes > MAX_DOCUMENT_BYTES) throw new S3Error(400, 'EntityTooLarge', 'The document is too large.')
    pieces.push(piece)
  })
  return Buffer.concat(pieces).toString()
}

/** What the request asks for, by AWS's name of the operation. */
export function operationOf(method: string, query: URLSearchParams, bucket: string, key: string): string {
  if (bucket === '') return method === 'GET' ? 'ListBuckets' : 'Unknown'
  if (key === '') {
    if (method === 'POST' && query.has('delete')) return 'DeleteObjects'
    return (
      { GET: query.has('location') ? 'GetBucketLocation' : 'ListObjectsV2', PUT: 'CreateBucket', HEAD: 'HeadBucket' }[
        method
      ] ?? 'Unknown'
    )
  }
  if (query.has('uploadId')) {
    return (
      { PUT: 'UploadPart', POST: 'CompleteMultipartUpload', DELETE: 'AbortMultipartUpload', GET: 'ListParts' }[
        method
      ] ?? 'Unknown'
    )
  }
  if (method === 'POST' && query.has('uploads')) return 'CreateMultipartUpload'
  return { GET: 'GetObject', HEAD: 'HeadObject', PUT: 'PutObject', DELETE: 'DeleteObject' }[method] ?? 'Unknown'
}

/** Carries an operation out. @throws S3Error */
export async function carryOut(
  operation: string,
  call: ObjectCall,
  storage: Storage,
  uploads: MultipartUploads,
): Promise<void> {
  const { request, response, verified, query, bucket, key } = call
  const answer = (document: string): void =>
    void response.writeHead(200, { 'content-type': 'application/xml' }).end(document)
  switch (operation) {
    case 'ListBuckets':
      return answer(xml('ListAllMyBucketsResult', { Buckets: { Bucket: storage.buckets().map((Name) => ({ Name })) } }))
    case 'CreateBucket':
      await readDocument(request, verified)
      storage.createBucket(bucket)
      return void response.writeHead(200, { location: `/${bucket}` }).end()
    case 'HeadBucket':
      storage.index(bucket)
      return void response.writeHead(200).end()
    case 'GetBucketLocation':
      storage.index(bucket)
      return answer(xml('LocationConstraint', ''))
    case 'ListObjectsV2':
      return answer(listObjects(storage, bucket, query))
    case 'DeleteObjects': {
      const wanted = textsOf(await readDocument(request, verified), 'Key')
      for (const one of wanted) storage.delete(bucket, one)
      return answer(xml('DeleteResult', { Deleted: wanted.map((Key) => ({ Key })) }))
    }
    case 'PutObject':
      if (request.headers['x-amz-copy-source'] !== undefined)
        throw new S3Error(501, 'NotImplemented', 'CopyObject is not supported here.')
      return putObject(call, storage)
    case 'GetObject':
    case 'HeadObject':
      return getObject(call, storage)
    case 'DeleteObject':
      storage.delete(bucket, key)
      return void response.writeHead(204).end()
    case 'CreateMultipartUpload': {
      storage.index(bucket)
      const UploadId = uploads.create({
        bucket,
        key,
        contentType: contentTypeOf(request),
        metadata: metadataOf(request),
      })
      return answer(xml('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId }))
    }
    case 'UploadPart':
      return uploadPart(call, storage, uploads)
    case 'ListParts': {
      const parts = [...uploads.get(query.get('uploadId')!, bucket, key).parts].toSorted(([a], [b]) => a - b)
      return answer(
        xml('ListPartsResult', {
          Bucket: bucket,
          Key: key,
          IsTruncated: false,
          Part: parts.map(([PartNumber, { etag, bytes }]) => ({ PartNumber, ETag: `"${etag}"`, Size: bytes })),
        }),
      )
    }
    case 'CompleteMultipartUpload':
      return completeUpload(call, storage, uploads)
    case 'AbortMultipartUpload':
      uploads.get(query.get('uploadId')!, bucket, key)
      await uploads.remove(query.get('uploadId')!)
      return void response.writeHead(204).end()
    default:
      throw new S3Error(405, 'MethodNotAllowed', 'The specified method is not allowed against this resource.')
  }
}

async function uploadPart(
  { request, response, verified, query, bucket, key }: ObjectCall,
  storage: Storage,
  uploads: MultipartUploads,
): Promise<void> {
  const upload = uploads.get(query.get('uploadId')!, bucket, key)
  const draft = await storage.draft()
  try {
    const { etag, bytes } = await readBody(request, verified, (piece) => draft.write(piece))
    await draft.handle.close()
    await uploads.putPart(upload, Number(query.get('partNumber')), { draft, etag, bytes })
    response.writeHead(200, { etag: `"${etag}"` }).end()
  } catch (reason) {
    await draft.abandon()
    throw reason
  }
}

async function completeUpload(
  { request, response, verified, query, bucket, key }: ObjectCall,
  storage: Storage,
  uploads: MultipartUploads,
): Promise<void> {
  const id = query.get('uploadId')!
  const upload = uploads.get(id, bucket, key)
  const document = await readDocument(request, verified)
  const numbers = textsOf(document, 'PartNumber').map(Number)
  const etags = textsOf(document, 'ETag').map((etag) => etag.replaceAll('"', ''))
  const { draft, etag, bytes } = await uploads.join(
    upload,
    numbers.map((number, i) => ({ number, etag: etags[i] ?? '' })),
    storage,
  )
  const { contentType, metadata } = upload
  await storage.commit(
    bucket,
    draft,
    { key, size: bytes, etag, modified: Date.now(), contentType, metadata },
    conditionOf(request),
  )
  await uploads.remove(id)
  response
    .writeHead(200, { 'content-type': 'application/xml' })
    .end(xml('CompleteMultipartUploadResult', { Bucket: bucket, Key: key, ETag: `"${etag}"` }))
}
