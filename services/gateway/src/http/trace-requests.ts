import { fail, startRequestSpan } from '@darkroom/chassis'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** A span for each request, named by its route; what it calls is within it. */
export function traceRequests(app: FastifyInstance): void {
  const traced = new WeakMap<FastifyRequest, ReturnType<typeof startRequestSpan>>()
  app.addHook('onRequest', (request, reply, done) => {
    const { method, headers, routeOptions } = request
    const route = routeOptions.url ?? 'none'
    const attributes = { 'http.request.method': method, 'http.route': route, 'darkroom.request.id': request.id }
    const { span, within } = startRequestSpan(`${method} ${route}`, headers, attributes)
    traced.set(request, { span, within })
    reply.raw.once('close', () => {
      const { statusCode, writableFinished } = reply.raw
      span.setAttribute('http.response.status_code', statusCode)
      if (!writableFinished) fail(span, 'the client left before the answer was there')
      else if (statusCode >= 500) fail(span, `answered ${statusCode}`)
      span.end()
    })
    within(done)
  })
  // What reads a body goes on in the socket's context, which knows no request.
  app.addHook('preValidation', (request, _reply, done) => traced.get(request)!.within(done))
}
