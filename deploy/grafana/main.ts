/** `node deploy/grafana/main.ts`: writes the dashboards that Grafana imports. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { dashboardJson, DASHBOARDS } from './dashboards.ts'

for (const dashboard of DASHBOARDS) {
  const file = path.join(import.meta.dirname, 'dashboards', `${dashboard.uid}.json`)
  writeFileSync(file, `${JSON.stringify(dashboardJson(dashboard), null, 2)}\n`)
}
