import type { Logger } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { GatewayEvents } from './events.ts'

test('what was read and went well is in the metrics alone, so that who looks every second does not fill the log', async () => {
  const lines: string[] = []
  const write = (level: string) => (fields: { code: string }, message: string) =>
    lines.push(`${level} ${message} ${fields.code}`)
  const events = new GatewayEvents({ debug: write('debug'), info: write('info') } as unknown as Logger)
  const request = { route: '/api/v1/batches/:id', seconds: 0.01, requestId: 'r1' }
  for (const [method, code] of [
    ['GET', '200'],
    ['HEAD', '304'],
    ['GET', '404'],
    ['GET', 'aborted'],
    ['POST', '201'],
  ] as const)
    // prettier-ignore
    events.requestEnded({ ...request, method, code })
  expect(lines).toEqual([
    'debug request ended 200',
    'debug request ended 304',
    'info request ended 404',
    'info request ended aborted',
    'info request ended 201',
  ])
  expect(await events.metrics.registry.metrics()).toMatch(/method="GET",route="[^"]*",code="200"/)
})
