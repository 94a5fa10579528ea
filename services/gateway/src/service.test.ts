import { expect, test } from 'vitest'
import { findMetricProblems, readConfig } from '@darkroom/chassis'
import { GATEWAY_VARIABLES } from './config.ts'
import { GatewayEvents } from './events.ts'
import { createLogger } from '@darkroom/chassis'
import { startTestGateway } from './gateway.harness.ts'

interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly responses: Record<string, unknown>
}

interface OpenApi {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
}

test('every problem of the environment is told at once', () => {
  const environment = {
    DARKROOM_GATEWAY_PORT: '80o0',
    DARKROOM_GATEWAY_IMAGES: 'both',
    DARKROOM_GATEWAY_MAX_STEPS: '0',
  }
  expect(() => readConfig(GATEWAY_VARIABLES, environment)).toThrow(
    expect.objectContaining({
      code: 'INVALID_CONFIG',
      problems: [
        'DARKROOM_S3_BUCKET',
        'DARKROOM_GATEWAY_PORT',
        'DARKROOM_GATEWAY_IMAGES',
        'DARKROOM_GATEWAY_MAX_STEPS',
      ].map((field) => expect.objectContaining({ field })),
    }),
  )
})

test('metrics have names, units, help and labels as agreed', () => {
  expect(findMetricProblems(new GatewayEvents(createLogger('gateway', 'silent')).metrics.registry)).toEqual([])
})

test('the OpenAPI document names every route, its answers and the item that a line may be', async () => {
  await using gateway = await startTestGateway({ DARKROOM_GATEWAY_MAX_STEPS: '77' })
  const document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as OpenApi
  expect(document.openapi).toBe('3.1.0')
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )
  expect(operations.map(({ path, method }) => `${method} ${path}`).sort()).toEqual([
    'get /',
    'get /api/v1/batches',
    'get /api/v1/batches/{id}',
    'get /api/v1/batches/{id}/errors.jsonl',
    'get /api/v1/batches/{id}/events',
    'get /api/v1/batches/{id}/images/{name}',
    'get /api/v1/batches/{id}/items',
    'get /api/v1/batches/{id}/items/{index}/explanation',
    'get /api/v1/batches/{id}/output.jsonl',
    'get /api/v1/checkpoints',
    'get /api/v1/ledger',
    'get /api/v1/schedulers',
    'get /api/v1/workers',
    'patch /api/v1/batches/{id}',
    'post /api/v1/batches',
    'post /api/v1/batches/{id}/cancel',
    'post /api/v1/batches/{id}/retry',
    'post /api/v1/pictures',
    'post /api/v1/quote',
  ])
  for (const { operation } of operations)
    expect(operation).toMatchObject({ operationId: expect.any(String), summary: expect.any(String) })
  expect(document).toMatchObject({
    paths: {
      '/api/v1/batches': {
        post: {
          requestBody: {
            content: {
              'application/x-ndjson': {
                schema: {
                  additionalProperties: false,
                  properties: { numInferenceSteps: { maximum: 77 }, outputFormat: { enum: ['png', 'jpeg', 'webp'] } },
                },
              },
            },
          },
        },
      },
    },
  })
})

test('an unknown route is a problem, and every answer has a request id', async () => {
  await using gateway = await startTestGateway()
  const own = await fetch(`${gateway.url}/api/v2/batches`)
  expect(own.status).toBe(404)
  expect(await own.json()).toMatchObject({ code: 'NOT_FOUND', requestId: own.headers.get('x-request-id') })
  const given = await fetch(gateway.url, { headers: { 'x-request-id': 'mine-1' } })
  expect(given.headers.get('x-request-id')).toBe('mine-1')
})

test('requests are measured by route, and readiness follows the object store', async () => {
  await using gateway = await startTestGateway()
  await gateway.accept([{ checkpoint: 'emoji-sd', prompt: 'a fox' }])
  await fetch(`${gateway.url}/api/v1/batches/none`)
  const metrics = (): Promise<string> => fetch(`${gateway.adminUrl}/metrics`).then((response) => response.text())
  await expect
    .poll(metrics)
    .toMatch('darkroom_gateway_request_seconds_count{method="GET",route="/api/v1/batches/:id",code="404"} 1')
  expect(await metrics()).toMatch('darkroom_gateway_items_total{outcome="accepted"} 1')
  const readiness = (): Promise<number> => fetch(`${gateway.adminUrl}/readyz`).then(({ status }) => status)
  expect(await readiness()).toBe(200)
  gateway.s3.faults.settings = { ...gateway.s3.faults.settings, breakBeforeRate: 1 }
  expect(await readiness()).toBe(503)
})
