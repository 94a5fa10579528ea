import { Type } from 'typebox'
import { callerOf, SCOPES } from '../auth/caller.ts'
import { termsOf } from '../auth/tenants.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'
import { imagesOf } from '../ingest/daily-images.ts'

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

const termsSchema = Type.Object({
  weight: Type.Number({ description: 'Among tenants with work that waits, device seconds follow the weights.' }),
  cap: orNull(Type.Integer({ description: 'Shards that it may have running; null for any number.' })),
  burst: Type.Integer({ description: 'So many more while nobody below its cap wants the worker.' }),
  checkpoints: orNull(Type.Array(Type.String(), { description: 'Those that it may use; null for all.' })),
  maySkipSafetyChecker: Type.Boolean(),
  requestsPerMinute: orNull(Type.Integer({ description: 'At each gateway; null for any number.' })),
  imagesPerDay: orNull(
    Type.Integer({ description: 'That its batches may ask for on a day (UTC); null for any number.' }),
  ),
})

/** Who calls and what that may do; and, for the operator, all tenants. */
export function me(app: App, { config, credentials, store }: GatewayContext): void {
  app.route({
    method: 'GET',
    url: '/api/v1/me',
    config: { scope: 'read' },
    schema: {
      operationId: 'me',
      summary: 'Whom this gateway takes you for',
      tags: ['access'],
      response: {
        200: Type.Object({
          tenant: Type.String(),
          subject: Type.String({ description: 'key:ID, root, oidc:SUBJECT, or anyone at an open gateway.' }),
          scopes: Type.Array(Type.Enum([...SCOPES])),
          isOpen: Type.Boolean({ description: 'Whether this gateway takes everybody for its operator.' }),
          terms: termsSchema,
          imagesToday: orNull(Type.Integer({ description: 'That were asked for; null where they are not counted.' })),
        }),
        ...problemResponses,
      },
    },
    handler: async (request) => {
      const { tenant, subject, scopes } = callerOf(request)
      const terms = shown(config, tenant)
      const imagesToday = terms.imagesPerDay === null ? null : await imagesOf(store, tenant, new Date())
      return { tenant, subject, scopes: [...scopes], isOpen: credentials.isOpen, terms, imagesToday }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/tenants',
    config: { scope: 'admin' },
    schema: {
      operationId: 'listTenants',
      summary: 'The tenants of the tenants file, and their terms',
      tags: ['access'],
      response: {
        200: Type.Object({ tenants: Type.Array(Type.Object({ name: Type.String(), terms: termsSchema })) }),
        ...problemResponses,
      },
    },
    handler: async () => ({
      tenants: [...config.tenants.keys()].map((name) => ({ name, terms: shown(config, name) })),
    }),
  })
}

function shown({ tenants }: GatewayContext['config'], tenant: string) {
  const { checkpoints, ...terms } = termsOf(tenants, tenant)
  return { ...terms, checkpoints: checkpoints === null ? null : [...checkpoints] }
}
