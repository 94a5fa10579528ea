import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomUUID } from 'node:crypto'
import { Faults } from './faults.ts'
import { MultipartUploads } from './multipart.ts'
import { carryOut, operationOf } from './routes.ts'
import { S3Error } from './s3-error.ts'
import { verifySignature } from './signature.ts'
import { Storage } from './storage.ts'
import { xml } from './xml.ts'

export interface S3ServerOptions {
  readonly directory: string
  /** Of loopback; 127.0.0.1 where it is not said. */
  readonly host?: string
  /** 0 or none takes a free one. */
  readonly port?: number
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** False gives up crash safety for speed: for tests and benchmarks only. */
  readonly fsync?: boolean
}

export interface S3Server extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly faults: Faults
}

/** An S3 server over a folder, on loopback: what a farm on one machine stores in, and what the tests break on purpose. */
export async function startS3Server(options: S3ServerOptions): Promise<S3Server> {
  const storage = new Storage(options.directory, { fsync: options.fsync ?? true })
  const uploads = new MultipartUploads()
  const faults = new Faults()

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // Not by URL, which would fold `.` and `..` away: they are names like any other in a key.
    const [path, queryText = ''] = request.url!.split('?', 2) as [string, string?]
    const query = new URLSearchParams(queryText)
    const [bucket = '', ...rest] = path.slice(1).split('/')
    const key = decodeURIComponent(rest.join('/'))
    const operation = operationOf(request.method!, query, bucket, key)
    faults.count(operation)
    await faults.delay()
    const fault = faults.before()
    if (fault === 'break') return void request.socket.destroy()
    if (fault === 'slow-down') throw new S3Error(503, 'SlowDown', 'Please reduce your request rate.')
    const verified = verifySignature(request, options, Date.now())
    const call = { request, response, verified, query, bucket, key }
    if (faults.breaksAfter()) {
      // Carried out, but the answer is lost. A read has nothing to carry out, and its body would wait for a reader.
      response.writeHead = () => response
      response.end = () => response
      if (request.method !== 'GET') await carryOut(operation, call, storage, uploads).catch(() => {})
      return void request.socket.destroy()
    }
    await carryOut(operation, call, storage, uploads)
  }

  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
    response.setHeader('x-amz-request-id', randomUUID())
    serve(request, response).catch((reason: unknown) => refuse(request, response, reason))
  })
  server.on('checkContinue', (request, response) => {
    response.writeContinue()
    server.emit('request', request, response)
  })
  const { host = '127.0.0.1' } = options
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port ?? 0, host, resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host}:${port}`,
    port,
    faults,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, reason: unknown): void {
  if (response.headersSent || request.socket.destroyed) return void request.socket.destroy()
  const error =
    reason instanceof S3Error
      ? reason
      : new S3Error(500, 'InternalError', reason instanceof Error ? reason.message : String(reason))
  const body =
    request.method === 'HEAD' ? '' : xml('Error', { Code: error.code, Message: error.message, Resource: request.url! })
  // What is left of the body is not wanted.
  if (!request.complete) response.setHeader('connection', 'close')
  response.writeHead(error.status, { 'content-type': 'application/xml' }).end(body)
  request.resume()
}
