import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { createHash, createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BUCKET, KEYS, startRig, temporaryFolder } from './server.harness.ts'
import type { Rig } from './server.harness.ts'
import { verifySignature } from './signature.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let rig: Rig

beforeAll(async () => {
  folder = await temporaryFolder()
  rig = await startRig(folder.at)
})
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

test('a request signed with another secret is 403, and so is one that is not signed', async () => {
  await rig.store.put('a', 'mine')
  const credentials = { ...KEYS, secretAccessKey: 'guessed' }
  const stranger = new S3Client({ endpoint: rig.server.url, region: 'us-east-1', forcePathStyle: true, credentials })
  const refusal = { name: 'SignatureDoesNotMatch', $metadata: { httpStatusCode: 403 } }
  await expect(stranger.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'a' }))).rejects.toMatchObject(refusal)
  await expect(stranger.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'a', Body: 'x' }))).rejects.toMatchObject(
    refusal,
  )
  stranger.destroy()
  const unsigned = await fetch(`${rig.server.url}/${BUCKET}/a`)
  expect(unsigned.status).toBe(403)
  await unsigned.arrayBuffer()
  expect(Buffer.from((await rig.store.get('a'))!).toString()).toBe('mine')
})

test('a presigned URL holds until it expires, and is 403 afterwards', async () => {
  const url = new URL(await rig.store.presignGet('a', { expiresSeconds: 60 }))
  const request = { method: 'GET', url: url.pathname + url.search, headers: { host: url.host } } as Parameters<
    typeof verifySignature
  >[0]
  const now = Date.now()
  expect(verifySignature(request, KEYS, now + 55_000).payload).toBe('UNSIGNED-PAYLOAD')
  expect(() => verifySignature(request, KEYS, now + 61_000)).toThrow(
    expect.objectContaining({ status: 403, message: 'Request has expired' }),
  )
})

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Signs an aws-chunked upload as the AWS documents describe it, apart from this server's own code. */
async function putSignedChunks(key: string, chunks: readonly string[], tamper: (body: string) => string) {
  const { host } = new URL(rig.server.url)
  const amzDate = new Date().toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  const scope = `${amzDate.slice(0, 8)}/us-east-1/s3/aws4_request`
  const headers: Record<string, string> = {
    host,
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'x-amz-date': amzDate,
    'x-amz-decoded-content-length': String(chunks.join('').length),
  }
  const names = Object.keys(headers)
  const lines = names.map((name) => `${name}:${headers[name]}`)
  const path = `/${BUCKET}/${key}`
  const canonical = ['PUT', path, '', ...lines, '', names.join(';'), headers['x-amz-content-sha256']].join('\n')
  const signingKey = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${KEYS.secretAccessKey}`)
  const sign = (...text: string[]): string => hmac(signingKey, text.join('\n')).toString('hex')
  const seed = sign('AWS4-HMAC-SHA256', amzDate, scope, sha256(canonical))
  let previous = seed
  const framed = [...chunks, ''].map((chunk) => {
    previous = sign('AWS4-HMAC-SHA256-PAYLOAD', amzDate, scope, previous, sha256(''), sha256(chunk))
    return `${chunk.length.toString(16)};chunk-signature=${previous}\r\n${chunk}\r\n`
  })
  const credential = `Credential=${KEYS.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${seed}`
  const { host: _, ...sent } = headers
  const answer = await fetch(rig.server.url + path, {
    method: 'PUT',
    headers: { ...sent, authorization: `AWS4-HMAC-SHA256 ${credential}` },
    body: tamper(framed.join('')),
  })
  return { status: answer.status, text: await answer.text() }
}

test('signed chunks are put together, and a tampered one is refused and not stored', async () => {
  const chunks = ['first chunk', 'second chunk']
  expect((await putSignedChunks('chunked', chunks, (body) => body)).status).toBe(200)
  expect(Buffer.from((await rig.store.get('chunked'))!).toString()).toBe('first chunksecond chunk')
  const tampered = await putSignedChunks('tampered', chunks, (body) => body.replace('second', 'Second'))
  expect(tampered.status).toBe(403)
  expect(tampered.text).toContain('<Code>SignatureDoesNotMatch</Code>')
  expect(await rig.store.head('tampered')).toBeNull()
})
