import type { Dashboard, Panel, Row } from './panels.ts'

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } as const
const ROW_HEIGHT = 1
const COLUMNS = 24

/** A dashboard as Grafana 11 and later import it. */
export function dashboardJson({ uid, title, description, variables, rows }: Dashboard): object {
  return {
    uid,
    title,
    description,
    tags: ['darkroom'],
    timezone: 'browser',
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '15s',
    time: { from: 'now-1h', to: 'now' },
    links: [
      {
        title: 'Darkroom',
        type: 'dashboards',
        tags: ['darkroom'],
        asDropdown: false,
        keepTime: true,
        includeVars: true,
      },
    ],
    annotations: { list: [ALERTS] },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {}, hide: 0 },
        ...variables.map(({ name, label, metric }) => ({
          name,
          label,
          type: 'query',
          datasource: DATASOURCE,
          query: { query: `label_values(${metric}, ${name})`, refId: 'A' },
          refresh: 2,
          includeAll: true,
          multi: true,
          allValue: '.*',
          current: { text: 'All', value: '$__all' },
          sort: 1,
        })),
      ],
    },
    panels: placed(rows),
  }
}

const ALERTS = {
  name: 'Alerts',
  datasource: DATASOURCE,
  enable: true,
  iconColor: 'red',
  expr: 'ALERTS{alertname=~"Darkroom.*", alertstate="firing"}',
  titleFormat: '{{alertname}}',
}

/** Panels from left to right, and into the next line where one does not fit. */
function placed(rows: readonly Row[]): object[] {
  const json: object[] = []
  let y = 0
  let id = 1
  for (const { title, panels, isCollapsed = false } of rows) {
    const row = {
      id: id++,
      type: 'row',
      title,
      collapsed: isCollapsed,
      gridPos: { h: ROW_HEIGHT, w: COLUMNS, x: 0, y },
    }
    y += ROW_HEIGHT
    const inside: object[] = []
    let x = 0
    let lineHeight = 0
    for (const panel of panels) {
      if (x + panel.width > COLUMNS) {
        x = 0
        y += lineHeight
        lineHeight = 0
      }
      inside.push(panelJson(panel, id++, { h: panel.height, w: panel.width, x, y }))
      x += panel.width
      lineHeight = Math.max(lineHeight, panel.height)
    }
    y += lineHeight
    json.push(...(isCollapsed ? [{ ...row, panels: inside }] : [{ ...row, panels: [] }, ...inside]))
  }
  return json
}

function panelJson(panel: Panel, id: number, gridPos: object): object {
  const { kind, title, description, unit, queries, decimals, max } = panel
  const isNow = kind !== 'timeseries'
  return {
    id,
    type: kind,
    title,
    description,
    gridPos,
    datasource: DATASOURCE,
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCodePoint(65 + i),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      ...(isNow && { instant: true, range: false }),
      ...(kind === 'table' && { format: 'table' }),
    })),
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max !== undefined && { max }),
        ...(decimals !== undefined && { decimals }),
        thresholds: { mode: 'absolute', steps: thresholdsOf(panel) },
        ...(kind === 'timeseries' && {
          custom: {
            lineWidth: 2,
            fillOpacity: panel.isStacked ? 40 : 10,
            showPoints: 'never',
            spanNulls: true,
            stacking: { mode: panel.isStacked ? 'normal' : 'none' },
          },
        }),
      },
      overrides: [],
    },
    options: optionsOf(panel),
    ...(kind === 'table' && { transformations: [{ id: 'merge', options: {} }, ...columnsOf(panel)] }),
  }
}

function thresholdsOf({ badFrom }: Panel): object[] {
  const good = { color: 'green', value: null }
  return badFrom === undefined ? [good] : [good, { color: 'red', value: badFrom }]
}

function optionsOf({ kind }: Panel): object {
  const lastOnly = { calcs: ['lastNotNull'], fields: '', values: false }
  switch (kind) {
    case 'timeseries':
      return {
        legend: { displayMode: 'table', placement: 'bottom', calcs: ['mean', 'lastNotNull'], showLegend: true },
        tooltip: { mode: 'multi', sort: 'desc' },
      }
    case 'stat':
      return { reduceOptions: lastOnly, colorMode: 'value', graphMode: 'area', textMode: 'auto' }
    case 'bargauge':
      return { reduceOptions: lastOnly, orientation: 'horizontal', displayMode: 'gradient', showUnfilled: true }
    default:
      return { showHeader: true, cellHeight: 'sm', footer: { show: false } }
  }
}

/** A query's legend names its column. */
function columnsOf({ queries }: Panel): object[] {
  const renameByName = Object.fromEntries(
    queries.map(({ legend }, i) => [queries.length === 1 ? 'Value' : `Value #${String.fromCodePoint(65 + i)}`, legend]),
  )
  return [{ id: 'organize', options: { excludeByName: { Time: true }, renameByName } }]
}
