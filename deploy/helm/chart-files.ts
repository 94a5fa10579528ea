import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { readmeWith } from './readme.ts'
import { schemaFor } from './schema.ts'
import { valuesOf } from './values.ts'

export const CHART = path.join(import.meta.dirname, 'darkroom')
const DEPLOY = path.resolve(import.meta.dirname, '..')

/** The chart's files that are made of others, by their path in the chart: what each is to hold. */
export function madeFiles(): ReadonlyMap<string, string> {
  const values = valuesOf(readFileSync(path.join(CHART, 'values.yaml'), 'utf8'))
  const files = new Map([
    ['values.schema.json', `${JSON.stringify(schemaFor(values), null, 2)}\n`],
    ['README.md', readmeWith(readFileSync(path.join(CHART, 'README.md'), 'utf8'), values)],
  ])
  // A chart can only read what lies in it.
  const rules = path.join(DEPLOY, 'prometheus', 'rules.yaml')
  if (existsSync(rules)) files.set('files/rules.yaml', readFileSync(rules, 'utf8'))
  files.set('files/nats-users.conf', readFileSync(path.join(DEPLOY, 'nats', 'pool.conf'), 'utf8'))
  for (const file of globSync('grafana/dashboards/*.json', { cwd: DEPLOY }))
    files.set(`files/dashboards/${path.basename(file)}`, readFileSync(path.join(DEPLOY, file), 'utf8'))
  return files
}
