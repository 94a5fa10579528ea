import underPressure from '@fastify/under-pressure'
import { DarkroomError } from '@darkroom/chassis'
import type { App } from './app.ts'

/**
 * Refuses requests at once while this gateway cannot keep up, so that those that it has taken end: another gateway behind the load
 * balancer may have time. What it cannot keep up with shows in how long its event loop is late, on average over a second.
 * @param maxDelayMs 0: never
 */
export async function shedLoad(app: App, maxDelayMs: number): Promise<void> {
  if (maxDelayMs === 0) return
  await app.register(underPressure, {
    maxEventLoopDelay: maxDelayMs,
    pressureHandler: () => {
      throw new DarkroomError('OVERLOADED', 'this gateway has more to do than it can: ask again, or have more gateways')
    },
  })
}
