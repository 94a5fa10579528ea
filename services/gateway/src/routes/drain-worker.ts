import { Type } from 'typebox'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { noContent, problemResponses } from '../http/problem.ts'

export function drainWorker(app: App, { coordinator, auditLog }: GatewayContext): void {
  app.route({
    method: 'POST',
    url: '/api/v1/workers/:id/drain',
    config: { scope: 'admin' },
    schema: {
      operationId: 'drainWorker',
      summary: 'Have a worker finish and stop',
      description:
        'It takes nothing new, finishes what it can within its grace, hands the rest back with the progress that it made, and ends. Whatever supervises it may start it anew.',
      tags: ['farm'],
      params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 200 }) }),
      response: { 202: noContent('It was told.'), ...problemResponses },
    },
    handler: async (request, reply) => {
      const { id: workerId } = request.params
      await coordinator.drainWorker({ workerId })
      await auditLog.note(request, 'worker.drain', workerId)
      return reply.code(202).send()
    },
  })
}
