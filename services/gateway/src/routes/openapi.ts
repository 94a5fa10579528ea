import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'

export function openapi(app: App, _context: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/openapi.json',
    config: { scope: 'public' },
    schema: { hide: true },
    handler: async () => app.swagger(),
  })
}
