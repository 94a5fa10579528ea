import { SAMPLERS, SCHEDULERS } from '@darkroom/diffusion'
import { Type } from 'typebox'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'

const schedulerSchema = Type.Object({
  name: Type.String({ examples: ['EulerDiscreteScheduler'] }),
  samplers: Type.Array(Type.String(), {
    description:
      'What A1111 and ComfyUI call it, with a few keys of its config set or not: names that an item may use too, ' +
      'with karras, exponential, beta, simple or sgm uniform behind them.',
    examples: [['DPM++ 2M', 'dpmpp_2m']],
  }),
  papers: Type.Array(Type.String(), { description: 'arXiv ids.' }),
  evaluations: Type.String({ description: 'Model calls per step.' }),
  stochastic: Type.String({ description: 'When it draws noise after the first: never, always or the condition.' }),
  config: Type.Record(
    Type.String(),
    Type.Object({
      default: Type.Unknown(),
      values: Type.Optional(Type.Array(Type.Unknown(), { description: 'All that it may be.' })),
    }),
    { description: 'Keys that schedulerConfig may override. The default stands where the checkpoint says nothing.' },
  ),
})

/** As far as the answer needs them. */
type ConfigKeys = Readonly<Record<string, { readonly default: unknown; readonly values?: readonly unknown[] }>>

const schedulers = Object.entries(SCHEDULERS).map(([name, { about, keys }]) => ({
  name,
  samplers: SAMPLERS.filter(({ scheduler }) => scheduler === name).flatMap(({ a1111, comfyui }) =>
    [a1111, comfyui].filter((sampler) => sampler !== undefined),
  ),
  papers: [...about.papers],
  evaluations: about.evaluations,
  stochastic: about.stochastic,
  config: Object.fromEntries(
    Object.entries(keys as ConfigKeys).map(([key, { default: fallback, values }]) => [
      key,
      { default: fallback, ...(values !== undefined && { values: [...values] }) },
    ]),
  ),
}))

export function listSchedulers(app: App, _context: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/schedulers',
    config: { scope: 'read' },
    schema: {
      operationId: 'listSchedulers',
      summary: 'List diffusion schedulers and the keys of their configs',
      tags: ['farm'],
      response: { 200: Type.Object({ schedulers: Type.Array(schedulerSchema) }) },
    },
    handler: async () => ({ schedulers }),
  })
}
