import { DASHBOARDS } from '@darkroom/grafana'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parser } from '@prometheus-io/lezer-promql'
import { parse } from 'yaml'

export const RULES_FILE = path.resolve(import.meta.dirname, '../../deploy/prometheus/rules.yaml')
export const RUNBOOKS = path.resolve(import.meta.dirname, '../../docs/runbooks')

/** A PromQL expression, and where it stands. */
export interface Expression {
  readonly place: string
  readonly expr: string
}

export interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly labels?: { readonly severity?: string }
  readonly annotations?: { readonly summary?: string; readonly description?: string; readonly runbook_url?: string }
}

export function rules(): readonly Rule[] {
  const { groups } = parse(readFileSync(RULES_FILE, 'utf8')) as { groups: readonly { rules: readonly Rule[] }[] }
  return groups.flatMap((group) => group.rules)
}

/** Of every panel. The variables stand for everything. */
export function panelExpressions(): readonly Expression[] {
  return DASHBOARDS.flatMap(({ title, rows }) =>
    rows.flatMap(({ panels }) =>
      panels.flatMap((panel) =>
        panel.queries.map(({ expr }) => ({
          place: `${title} / ${panel.title}`,
          expr: expr.replaceAll(/\$[a-z]+/g, '.*'),
        })),
      ),
    ),
  )
}

/** Metrics that an expression names. @throws Error where it is no PromQL */
export function metricsOf(expr: string): readonly string[] {
  const names: string[] = []
  parser.parse(expr).iterate({
    enter: ({ name, type, from, to }) => {
      if (type.isError) throw new Error(`no PromQL at ${from}: ${expr}`)
      if (name === 'Identifier') names.push(expr.slice(from, to))
    },
  })
  return names
}
