import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CHART, madeFiles } from './chart-files.ts'

// Makes the chart's schema, the tables of its README, and its copies of rules and dashboards: node deploy/helm/write.ts
const files = madeFiles()
rmSync(path.join(CHART, 'files'), { recursive: true, force: true })
for (const [name, content] of files) {
  mkdirSync(path.dirname(path.join(CHART, name)), { recursive: true })
  writeFileSync(path.join(CHART, name), content)
}
