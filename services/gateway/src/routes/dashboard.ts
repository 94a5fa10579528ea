import fastifyStatic from '@fastify/static'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'

const BUILT = path.resolve(import.meta.dirname, '../../web/dist')
/** Nothing of other origins, nothing inline: a prompt that is shown can do nothing but be read. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')
const NOT_BUILT =
  '<!doctype html><title>Darkroom</title><p>The dashboard is not built: <code>npm run build -w @darkroom/web</code>. The API is at <a href="/api/v1/me">/api/v1</a>, its document at <a href="/openapi.json">/openapi.json</a>.'

/** The dashboard: files that `npm run setup` builds, for whoever asks. What they ask for takes a key. */
export function dashboard(app: App, _context: GatewayContext): void {
  app.register(async (scope: App) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, scope: 'public' }
      route.schema = { ...route.schema, hide: true }
    })
    scope.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', POLICY)
      reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer')
    })
    if (!existsSync(path.join(BUILT, 'index.html'))) {
      scope.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(NOT_BUILT))
      return
    }
    await scope.register(fastifyStatic, {
      root: BUILT,
      wildcard: false,
      // The names of assets hold their hashes.
      setHeaders: (reply, file) => {
        const isAsset = path.relative(BUILT, file).startsWith('assets')
        reply.header('cache-control', isAsset ? 'public, max-age=31536000, immutable' : 'no-cache')
      },
    })
  })
}
