import { Type } from 'typebox'
import type { Static } from 'typebox'
import { DarkroomError, listCheckpoints as listStored } from '@darkroom/chassis'
import type { CheckpointDescription } from '@darkroom/diffusion'
import { callerOf, isAllowed } from '../auth/caller.ts'
import { termsOf } from '../auth/tenants.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'

const describedSchema = Type.Object({
  pipelineClass: Type.String({ examples: ['StableDiffusionPipeline'] }),
  tasks: Type.Array(Type.String()),
  defaultWidth: Type.Integer({ description: 'Pixels.' }),
  defaultHeight: Type.Integer({ description: 'Pixels.' }),
  sizeMultiple: Type.Integer({ description: 'Width and height must be multiples of it.' }),
  scheduler: Type.String({ description: 'Its own.' }),
  promptMaxTokens: Type.Union([Type.Integer(), Type.Null()]),
})

const checkpointSchema = Type.Object({
  name: Type.String(),
  pin: Type.String({ description: 'NAME@sha256:HEX' }),
  tags: Type.Array(Type.String(), { description: 'Tags that mean this pin now.' }),
  bytes: Type.Integer(),
  files: Type.Integer(),
  description: Type.Union([describedSchema, Type.Null()]),
  problem: Type.Union([Type.String({ description: 'Why the farm cannot render it.' }), Type.Null()]),
})

export function listCheckpoints(app: App, { store, catalog, intakeRules }: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/checkpoints',
    config: { scope: 'read' },
    schema: {
      operationId: 'listCheckpoints',
      summary: 'List checkpoints',
      tags: ['farm'],
      response: { 200: Type.Object({ checkpoints: Type.Array(checkpointSchema) }), ...problemResponses },
    },
    handler: async (request) => {
      const caller = callerOf(request)
      const { checkpoints: allowed } = termsOf(intakeRules.tenants, caller.tenant)
      const checkpoints: Static<typeof checkpointSchema>[] = []
      for await (const { tags, ...stored } of listStored(store)) {
        if (!isAllowed(caller, 'admin') && allowed?.includes(stored.name) === false) continue
        try {
          const { description } = await catalog.describe(stored.pin)
          checkpoints.push({ ...stored, tags: [...tags], description: described(description), problem: null })
        } catch (reason) {
          const error = DarkroomError.from(reason)
          if (!error.code.startsWith('CHECKPOINT_')) throw reason
          checkpoints.push({ ...stored, tags: [...tags], description: null, problem: error.message })
        }
      }
      return { checkpoints }
    },
  })
}

function described(description: CheckpointDescription): Static<typeof describedSchema> {
  const { pipelineClass, tasks, defaultWidth, defaultHeight, sizeMultiple, scheduler, promptMaxLength } = description
  return {
    pipelineClass,
    tasks: [...tasks],
    defaultWidth,
    defaultHeight,
    sizeMultiple,
    scheduler: scheduler.name,
    promptMaxTokens: promptMaxLength,
  }
}
