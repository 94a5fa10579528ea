import { Type } from 'typebox'
import type { FastifyRequest } from 'fastify'
import { DarkroomError } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { TagDocument } from '@darkroom/proto'
import { callerOf, isAllowed } from '../auth/caller.ts'
import { termsOf } from '../auth/tenants.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { unixSeconds } from '../openai/ids.ts'

const modelSchema = Type.Object({
  id: Type.String({ description: 'NAME, NAME:TAG or NAME@sha256:HEX of a checkpoint.' }),
  object: Type.Literal('model'),
  created: Type.Integer({ description: 'Unix seconds: when the name was last given.' }),
  owned_by: Type.String(),
})

/** OpenAI's Models: the checkpoints by their names. */
export function openAiModels(app: App, { catalog, store, intakeRules }: GatewayContext): void {
  const isVisible = (request: FastifyRequest, name: string): boolean => {
    const caller = callerOf(request)
    const { checkpoints } = termsOf(intakeRules.tenants, caller.tenant)
    return isAllowed(caller, 'admin') || checkpoints === null || checkpoints.includes(name)
  }
  const modelOf = async (name: string) => {
    const tag = await store.getJson<TagDocument>(keys.checkpointTag(name, 'latest'))
    const created = unixSeconds(tag?.updatedAt ?? new Date(0))
    return { id: name, object: 'model' as const, created, owned_by: 'darkroom' }
  }

  app.route({
    method: 'GET',
    url: '/v1/models',
    config: { scope: 'read' },
    schema: {
      operationId: 'openAiListModels',
      summary: 'List checkpoints as models',
      tags: ['openai'],
      response: {
        200: Type.Object({ object: Type.Literal('list'), data: Type.Array(modelSchema) }),
        ...problemResponses,
      },
    },
    handler: async (request) => {
      const names = (await catalog.names()).filter((name) => isVisible(request, name))
      return { object: 'list' as const, data: await Promise.all(names.map(modelOf)) }
    },
  })

  app.route({
    method: 'GET',
    url: '/v1/models/:id',
    config: { scope: 'read' },
    schema: {
      operationId: 'openAiGetModel',
      summary: 'Whether there is a checkpoint of this name',
      tags: ['openai'],
      params: Type.Object({ id: Type.String({ maxLength: 300 }) }),
      response: { 200: modelSchema, ...problemResponses },
    },
    handler: async (request) => {
      const { id } = request.params
      if (!isVisible(request, id.split(/[:@]/)[0]!) || !(await exists(catalog, id))) {
        throw new DarkroomError('NOT_FOUND', `no model ${id}: GET /v1/models lists them`)
      }
      return { ...(await modelOf(id.split(/[:@]/)[0]!)), id }
    },
  })
}

async function exists(catalog: GatewayContext['catalog'], id: string): Promise<boolean> {
  try {
    await catalog.resolve(id)
    return true
  } catch (reason) {
    if (['NOT_FOUND', 'INVALID_REQUEST'].includes(DarkroomError.from(reason).code)) return false
    throw reason
  }
}
