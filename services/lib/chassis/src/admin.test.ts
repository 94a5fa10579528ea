import { expect, test } from 'vitest'
import { startAdminServer } from './admin.ts'
import { createLogger } from './log.ts'
import { Metrics } from './metrics.ts'

type Options = Partial<Parameters<typeof startAdminServer>[0]>

async function serve(options: Options = {}) {
  const server = await startAdminServer({
    host: '127.0.0.1',
    port: 0,
    metrics: new Metrics(),
    isReady: () => true,
    log: createLogger('admin', 'silent'),
    ...options,
  })
  const get = async (route: string): Promise<{ status: number; body: string; type: string | null }> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${route}`)
    return { status: response.status, body: await response.text(), type: response.headers.get('content-type') }
  }
  return { get, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('is alive from the start, and ready when the service says so', async () => {
  let ready = false
  await using admin = await serve({ isReady: async () => ready })
  expect((await admin.get('/livez')).status).toBe(200)
  expect(await admin.get('/readyz')).toMatchObject({ status: 503, body: 'not ready\n' })
  ready = true
  expect(await admin.get('/readyz')).toMatchObject({ status: 200, body: 'ready\n' })
})

test('a readiness check that fails means not ready, and is not the end of the server', async () => {
  let broken = true
  await using admin = await serve({
    isReady: () => {
      if (broken) throw new Error('the store is away')
      return true
    },
  })
  expect((await admin.get('/readyz')).status).toBe(500)
  broken = false
  expect((await admin.get('/readyz?verbose')).status).toBe(200)
})

test('metrics come in the Prometheus format, with gauges read at the scrape', async () => {
  const metrics = new Metrics()
  const depth = metrics.gauge('darkroom_queue_shards', 'Shards that wait.')
  await using admin = await serve({ metrics, beforeScrape: () => depth.set(7) })
  const { status, body, type } = await admin.get('/metrics')
  expect(status).toBe(200)
  expect(type).toMatch(/^text\/plain; version=/)
  expect(body).toContain('# HELP darkroom_queue_shards Shards that wait.')
  expect(body).toContain('darkroom_queue_shards 7')
})

test('any other route says where to go', async () => {
  await using admin = await serve()
  expect(await admin.get('/')).toMatchObject({ status: 404, body: 'try /metrics, /livez or /readyz\n' })
})

test('a port that is taken is an error at start', async () => {
  await using first = await startAdminServer({
    host: '127.0.0.1',
    port: 0,
    metrics: new Metrics(),
    isReady: () => true,
    log: createLogger('admin', 'silent'),
  })
  await expect(serve({ port: first.port })).rejects.toThrow(/EADDRINUSE/)
})
