import { dashboardJson, DASHBOARDS } from '@darkroom/grafana'
import { createLogger, Metrics } from '@darkroom/chassis'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { createEvents as createCoordinatorEvents } from '../../services/coordinator/src/events.ts'
import { GatewayEvents } from '../../services/gateway/src/events.ts'
import { createEvents as createWorkerEvents } from '../../services/worker/src/events.ts'
import { metricsOf, panelExpressions, rules, RUNBOOKS } from './expressions.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const FOLDER = path.join(ROOT, 'deploy/grafana/dashboards')
const SUFFIXES = ['', '_sum', '_count', '_bucket']
/** Not ours: Prometheus', Node's by prom-client, DCGM's. */
const FOREIGN = /^(up|ALERTS|process_|nodejs_|DCGM_FI_)/

function known(): ReadonlySet<string> {
  const log = createLogger('observability', 'silent')
  const [coordinator, worker] = [new Metrics(), new Metrics()]
  createCoordinatorEvents(coordinator, log)
  createWorkerEvents(worker, log)
  const names = [new GatewayEvents(log).metrics, coordinator, worker].flatMap(({ registry }) =>
    registry.getMetricsAsArray().flatMap(({ name }) => SUFFIXES.map((suffix) => name + suffix)),
  )
  return new Set([...names, ...rules().flatMap(({ record }) => record ?? [])])
}

const metrics = known()
const expressions = [
  ...panelExpressions(),
  ...rules().map(({ alert, record, expr }) => ({ place: (alert ?? record)!, expr })),
]

test.each(expressions)('$place asks for metrics that there are', ({ expr }) => {
  const names = metricsOf(expr)
  expect(names.length).toBeGreaterThan(0)
  expect(names.filter((name) => !metrics.has(name) && !FOREIGN.test(name))).toEqual([])
})

describe.each(DASHBOARDS)('$title', (dashboard) => {
  test('is what its file holds: `node deploy/grafana/main.ts` writes it', () => {
    const file = readFileSync(path.join(FOLDER, `${dashboard.uid}.json`), 'utf8')
    expect(JSON.parse(file)).toEqual(JSON.parse(JSON.stringify(dashboardJson(dashboard))))
  })

  test('says of each panel what it shows, and gives it a place of its own', () => {
    const { panels } = dashboardJson(dashboard) as {
      panels: { id: number; gridPos: { x: number; y: number; w: number; h: number }; panels?: object[] }[]
    }
    const ids = panels.flatMap((panel) => [panel.id, ...((panel.panels ?? []) as { id: number }[]).map(({ id }) => id)])
    expect(new Set(ids).size).toBe(ids.length)
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24)
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`)
    })
    expect(new Set(cells).size).toBe(cells.length)
    for (const { description, queries, kind } of dashboard.rows.flatMap((row) => row.panels)) {
      expect(description).toMatch(/^[A-Z].*\.$|^refused/)
      if (kind === 'timeseries' || kind === 'bargauge') for (const { legend } of queries) expect(legend).not.toBe('')
    }
  })
})

const perScheduler = DASHBOARDS.find(({ uid }) => uid === 'darkroom-schedulers')!

test.each(perScheduler.rows.flatMap(({ panels }) => panels))(
  '$title is of the checkpoints and schedulers that are chosen',
  ({ queries }) => {
    for (const { expr } of queries)
      for (const [selector] of expr.matchAll(/\{[^}]*\}/g))
        for (const { name } of perScheduler.variables) expect(selector).toContain(`${name}=~"$${name}`)
  },
)

test('there is no dashboard file but those of the code', () => {
  expect(readdirSync(FOLDER).toSorted()).toEqual(DASHBOARDS.map(({ uid }) => `${uid}.json`).toSorted())
})

test('every alert says how bad it is, what it is, and where to read on', () => {
  const alerts = rules().filter(({ alert }) => alert !== undefined)
  expect(alerts.length).toBeGreaterThanOrEqual(12)
  for (const { alert, labels, annotations } of alerts) {
    expect(['critical', 'warning'], alert).toContain(labels?.severity)
    expect(annotations?.summary, alert).toMatch(/\S/)
    expect(annotations?.description, alert).toMatch(/\.$/)
    expect(annotations?.runbook_url, alert).toMatch(/^\{\{ \$externalURL \}\}\/user\/Darkroom\w+\.md$/)
  }
  const pages = new Set(alerts.map(({ annotations }) => path.basename(annotations!.runbook_url!)))
  expect(readdirSync(RUNBOOKS).toSorted()).toEqual([...pages].toSorted())
})

test.each(readdirSync(RUNBOOKS))('%s names metrics that there are', (page) => {
  const named = readFileSync(path.join(RUNBOOKS, page), 'utf8').match(/\bdarkroom_\w+/g) ?? []
  expect(named.filter((name) => !metrics.has(name))).toEqual([])
})
