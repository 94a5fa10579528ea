import { createLogger, findMetricProblems, Metrics } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { createEvents as createCoordinatorEvents } from '../services/coordinator/src/events.ts'
import { GatewayEvents } from '../services/gateway/src/events.ts'
import { createEvents as createWorkerEvents } from '../services/worker/src/events.ts'

const log = createLogger('metrics-test', 'silent')

/** A registry with all that `create` puts into it. */
function metricsOf(create: (metrics: Metrics) => unknown): Metrics {
  const metrics = new Metrics()
  create(metrics)
  return metrics
}

test.each([
  ['gateway', () => new GatewayEvents(log).metrics],
  ['coordinator', () => metricsOf((metrics) => createCoordinatorEvents(metrics, log))],
  ['worker', () => metricsOf((metrics) => createWorkerEvents(metrics, log))],
])('every metric of the %s has a good name, unit, help text and labels', (_, build) => {
  const { registry } = build()
  expect(registry.getMetricsAsArray().some(({ name }) => name.startsWith('darkroom_'))).toBe(true)
  expect(findMetricProblems(registry)).toEqual([])
})
