import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { fastify } from 'fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DarkroomError, ERROR_CODES } from '@darkroom/chassis'
import { parseJsonBody } from '../ingest/json-body.ts'
import { AllowedMethods } from './allowed-methods.ts'
import { compileValidator } from './validators.ts'
import type { GatewayEvents } from '../events.ts'
import { isOpenAiPath, withOpenAiError } from '../openai/error.ts'
import { errorOf, problemDetails } from './problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** JSON Schema of a body that the route checks itself: for the OpenAPI document alone. */
    documentedBody?: unknown
  }
}

const REQUEST_ID = /^[\w.:-]{1,100}$/
const RETRY_AFTER_SECONDS = 2
/** How long the rest of a refused body is read, so that the client gets to see the answer. */
const LINGER_MS = 10_000

export type App = ReturnType<typeof createApp>

/** A Fastify instance with what all routes share: bodies, ids, errors as problem details, measurement. */
export function createApp(options: { events: GatewayEvents; maxJsonBytes: number; idleMs: number }) {
  const { events } = options
  const app = fastify({
    // Its own lines would hold URLs; events.ts writes one line a request.
    logger: false,
    bodyLimit: options.maxJsonBytes,
    connectionTimeout: options.idleMs,
    forceCloseConnections: 'idle',
    // What still comes over a connection that is open when the gateway stops is answered, and the connection ends with it.
    return503OnClosing: false,
    // HEAD would run handlers that open streams: a GET of a range tells as much.
    exposeHeadRoutes: false,
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
    },
    // Longer than any id, so that a wrong one is refused by its schema.
    routerOptions: { maxParamLength: 1_000 },
    frameworkErrors: (reason, request, reply) => {
      sendProblem(errorOf(reason), request, reply, events)
    },
    clientErrorHandler: (reason, socket) => {
      if (!socket.writable) {
        socket.destroy()
        return
      }
      const error = new DarkroomError('INVALID_REQUEST', 'the request is no HTTP, or was cut off', { cause: reason })
      const body = JSON.stringify(problemDetails(error, randomUUID()))
      const head = 'HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n'
      socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    },
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.setValidatorCompiler(compileValidator)
  const allowed = new AllowedMethods()
  app.addHook('onRoute', (route) => allowed.add(route))

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    parseJsonBody(body),
  )
  app.addContentTypeParser('application/x-ndjson', async () => undefined)

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    events.requestOpened()
    const start = performance.now()
    reply.raw.once('close', () => {
      const finished = reply.raw.writableFinished
      events.requestEnded({
        method: request.method,
        route: request.routeOptions.url ?? 'none',
        code: finished ? String(reply.raw.statusCode) : 'aborted',
        seconds: (performance.now() - start) / 1000,
        requestId: request.id,
      })
      if (finished && !request.raw.complete) linger(request)
    })
    const { 'content-encoding': encoding = 'identity' } = request.headers
    if (encoding !== 'identity') {
      throw new DarkroomError('UNSUPPORTED_MEDIA_TYPE', `content-encoding ${encoding} is not supported: send it plain`)
    }
  })
  const noRoute = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const methods = allowed.of(request.url)
    const path = request.url.split('?')[0]!
    if (methods.length > 0) reply.header('allow', methods.join(', '))
    const error =
      methods.length > 0
        ? new DarkroomError('METHOD_NOT_ALLOWED', `${path} takes ${methods.join(', ')}, not ${request.method}`)
        : new DarkroomError('NOT_FOUND', `no route ${request.method} ${path}: see /openapi.json`)
    return sendProblem(error, request, reply, events)
  }
  app.setNotFoundHandler(noRoute)
  app.setErrorHandler((reason, request, reply) =>
    // Of a method that no route has Fastify may first look at the body.
    allowed.of(request.url).includes(request.method)
      ? sendProblem(errorOf(reason), request, reply, events)
      : noRoute(request, reply),
  )
  return app
}

function linger(request: FastifyRequest): void {
  const { raw } = request
  const timer = setTimeout(() => raw.socket.destroy(), LINGER_MS)
  timer.unref()
  raw.once('close', () => clearTimeout(timer))
  raw.resume()
}

function sendProblem(
  error: DarkroomError,
  request: FastifyRequest,
  reply: FastifyReply,
  events: GatewayEvents,
): FastifyReply {
  if (error.code === 'INTERNAL') events.requestFailed(request.id, error.cause)
  if (error.code === 'TOO_MANY_REQUESTS') events.requestLimited(request.caller!.tenant)
  if (error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN') events.signInRefused(error.code)
  if (error.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer')
  const problem = problemDetails(error, request.id)
  if (error.retryAfterSeconds !== null) reply.header('retry-after', String(error.retryAfterSeconds))
  else if (problem.status === 503 && ERROR_CODES[error.code].retry === 'later') {
    reply.header('retry-after', String(RETRY_AFTER_SECONDS))
  }
  if (isOpenAiPath(request.url)) {
    reply.header('x-should-retry', String(ERROR_CODES[error.code].retry !== 'never'))
    return reply.code(problem.status).type('application/problem+json').send(withOpenAiError(problem))
  }
  return reply.code(problem.status).type('application/problem+json').send(problem)
}
