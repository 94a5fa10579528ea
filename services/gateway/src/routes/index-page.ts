import { Type } from 'typebox'
import manifest from '../../package.json' with { type: 'json' }
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'

export function indexPage(app: App, _context: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/',
    config: { scope: 'public' },
    schema: {
      operationId: 'index',
      summary: 'Where things are',
      tags: ['farm'],
      response: { 200: Type.Record(Type.String(), Type.String()) },
    },
    handler: async () => ({
      service: 'darkroom gateway',
      version: manifest.version,
      openapi: '/openapi.json',
      batches: '/api/v1/batches',
      workers: '/api/v1/workers',
      checkpoints: '/api/v1/checkpoints',
      schedulers: '/api/v1/schedulers',
    }),
  })
}
