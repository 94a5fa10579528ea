import { Type } from 'typebox'
import type { Static } from 'typebox'
import { DarkroomError, isTenantName } from '@darkroom/chassis'
import type { ApiKeyDocument } from '../auth/api-key.ts'
import { SCOPES } from '../auth/caller.ts'
import type { GatewayContext } from '../context.ts'
import type { App } from '../http/app.ts'
import { problemResponses } from '../http/problem.ts'

const OVERLAP_SECONDS = 3_600
const MAX_OVERLAP_SECONDS = 30 * 86_400

const orNullTime = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

const apiKeySchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  tenant: Type.String(),
  scopes: Type.Array(Type.Enum([...SCOPES])),
  createdAt: Type.String({ format: 'date-time' }),
  expiresAt: orNullTime,
})
const createdKeySchema = Type.Object({
  ...apiKeySchema.properties,
  key: Type.String({ description: 'The key itself. It is shown this once.', examples: ['dk_5f0c…'] }),
})
const idParams = Type.Object({ id: Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Of the key.' }) })

/** Keys: made, listed, ended, and replaced while the old one still works. */
export function apiKeys(app: App, { credentials, config, auditLog }: GatewayContext): void {
  const { apiKeys: stored } = credentials

  app.route({
    method: 'POST',
    url: '/api/v1/keys',
    config: { scope: 'admin' },
    schema: {
      operationId: 'createKey',
      summary: 'Make an API key',
      description:
        'What is stored is its SHA-256. `read` sees the tenant’s batches and files, `write` makes and changes them, `admin` does both for all tenants and sees the farm itself.',
      tags: ['access'],
      body: Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 100, description: 'What it is for.', examples: ['nightly'] }),
          tenant: Type.String({ minLength: 1, maxLength: 63, examples: ['acme'] }),
          scopes: Type.Array(Type.Enum([...SCOPES]), { minItems: 1, maxItems: SCOPES.length, uniqueItems: true }),
          expiresAt: Type.Optional(Type.String({ format: 'date-time', description: 'Default: never.' })),
        },
        { additionalProperties: false },
      ),
      response: { 201: createdKeySchema, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { name, tenant, scopes, expiresAt } = request.body
      assertTenant(tenant, config.tenants.keys().toArray())
      const now = new Date()
      if (expiresAt !== undefined && Date.parse(expiresAt) <= now.getTime()) {
        throw invalid('expiresAt', expiresAt, 'lies behind: want a time to come, or leave it out')
      }
      const { document, key } = await stored.create({ name, tenant, scopes, expiresAt: expiresAt ?? null }, now)
      await auditLog.note(request, 'key.create', document.id, { ...request.body })
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ ...shown(document), key })
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/keys',
    config: { scope: 'admin' },
    schema: {
      operationId: 'listKeys',
      summary: 'List API keys, oldest first, without their secrets',
      tags: ['access'],
      response: { 200: Type.Object({ keys: Type.Array(apiKeySchema) }), ...problemResponses },
    },
    handler: async () => ({ keys: (await stored.list()).map(shown) }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/keys/:id/rotate',
    config: { scope: 'admin' },
    schema: {
      operationId: 'rotateKey',
      summary: 'Replace an API key',
      description: 'Makes another one with the same name, tenant and scopes; the old one works for a while longer.',
      tags: ['access'],
      params: idParams,
      body: Type.Object(
        {
          overlapSeconds: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: MAX_OVERLAP_SECONDS,
              description: 'For so long the old one still works. Default: an hour.',
            }),
          ),
        },
        { additionalProperties: false },
      ),
      response: { 201: createdKeySchema, ...problemResponses },
    },
    handler: async (request, reply) => {
      const now = new Date()
      const { name, tenant, scopes, expiresAt } = await stored.get(request.params.id)
      const { document, key } = await stored.create({ name, tenant, scopes, expiresAt }, now)
      await stored.expire(
        request.params.id,
        new Date(now.getTime() + (request.body.overlapSeconds ?? OVERLAP_SECONDS) * 1000),
        now,
      )
      await auditLog.note(request, 'key.rotate', request.params.id, { key: document.id, tenant })
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ ...shown(document), key })
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/keys/:id',
    config: { scope: 'admin' },
    schema: {
      operationId: 'revokeKey',
      summary: 'End an API key',
      description: 'Every gateway refuses it within five seconds.',
      tags: ['access'],
      params: idParams,
      response: { 200: apiKeySchema, ...problemResponses },
    },
    handler: async (request) => {
      const now = new Date()
      const ended = await stored.expire(request.params.id, now, now)
      await auditLog.note(request, 'key.revoke', ended.id, { tenant: ended.tenant })
      return shown(ended)
    },
  })
}

/** @throws DarkroomError INVALID_REQUEST for a name that cannot be one, or that the tenants file does not know */
function assertTenant(tenant: string, known: readonly string[]): void {
  if (!isTenantName(tenant)) {
    throw invalid('tenant', tenant, 'want up to 63 of a-z, 0-9 and -, not - first')
  }
  if (known.length > 0 && !known.includes(tenant)) {
    throw invalid('tenant', tenant, `is not in the tenants file: want one of ${known.join(', ')}, or add it there`)
  }
}

function invalid(field: string, value: string, message: string): DarkroomError {
  return new DarkroomError('INVALID_REQUEST', 'no key was made', { problems: [{ field, value, message }] })
}

function shown({ id, name, tenant, scopes, createdAt, expiresAt }: ApiKeyDocument): Static<typeof apiKeySchema> {
  return { id, name, tenant, scopes: [...scopes], createdAt, expiresAt }
}
