import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface AdminServer extends AsyncDisposable {
  readonly port: number
}

/** `/metrics` for Prometheus, `/livez` (the event loop turns) and `/readyz` (the service can do its work). */
export async function startAdminServer(options: {
  host: string
  port: number
  metrics: Metrics
  isReady: () => boolean | Promise<boolean>
  /** Sets gauges that are read off a state rather than kept. */
  beforeScrape?: () => void
  log: Logger
}): Promise<AdminServer> {
  const { metrics, isReady, beforeScrape, log } = options
  const routes: Record<string, () => Promise<{ status: number; type: string; body: string }>> = {
    '/livez': async () => ({ status: 200, type: 'text/plain', body: 'ok\n' }),
    '/readyz': async () =>
      (await isReady())
        ? { status: 200, type: 'text/plain', body: 'ready\n' }
        : { status: 503, type: 'text/plain', body: 'not ready\n' },
    '/metrics': async () => {
      beforeScrape?.()
      return { status: 200, type: metrics.registry.contentType, body: await metrics.registry.metrics() }
    },
  }
  const server = createServer((request, response) => {
    const route = routes[request.url?.split('?')[0] ?? '']
    const answer =
      route === undefined
        ? Promise.resolve({ status: 404, type: 'text/plain', body: 'try /metrics, /livez or /readyz\n' })
        : route()
    answer.then(
      ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
      (err: unknown) => {
        log.error({ err }, 'admin route failed')
        response.writeHead(500).end()
      },
    )
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port, options.host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
