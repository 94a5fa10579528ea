import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { GatewayEvents } from '../events.ts'
import { createApp } from './app.ts'
import { shedLoad } from './shed-load.ts'
import { createLogger } from '@darkroom/chassis'

const MAX_DELAY_MS = 200

function block(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

test('a gateway that cannot keep up says so at once, and answers again when it can', { timeout: 20_000 }, async () => {
  const events = new GatewayEvents(createLogger('gateway', 'silent'))
  const app = createApp({ events, maxJsonBytes: 1_000, idleMs: 5_000 })
  await shedLoad(app, MAX_DELAY_MS)
  app.get('/', async () => 'here')
  const ask = async () => app.inject('/')
  expect((await ask()).statusCode).toBe(200)
  let refused = await ask()
  while (refused.statusCode === 200) {
    block(2 * MAX_DELAY_MS)
    await delay(1)
    refused = await ask()
  }
  expect(refused.statusCode).toBe(503)
  expect(refused.headers['retry-after']).toBe('2')
  expect(refused.json()).toMatchObject({ code: 'OVERLOADED', status: 503 })
  while ((await ask()).statusCode === 503) await delay(20)
  await app.close()
})
