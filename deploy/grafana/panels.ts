/** Grafana's units that the farm uses. https://grafana.com/docs/grafana/latest/panels-visualizations/configure-standard-options/ */
export type Unit =
  | 'short'
  | 's'
  | 'percentunit'
  | 'bytes'
  | 'watt'
  | 'celsius'
  | 'reqps'
  | 'none'
  | 'Bps'
  | 'dtdurations'

export interface Query {
  readonly expr: string
  /** Of a series, such as `{{scheduler}}`. */
  readonly legend: string
}

/** What a panel shows, before it has its place. */
export interface Panel {
  readonly kind: 'timeseries' | 'stat' | 'bargauge' | 'table'
  readonly title: string
  /** What the figures mean, for who hovers over the title. */
  readonly description: string
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** Of 24 columns. */
  readonly width: number
  readonly height: number
  readonly isStacked?: true
  readonly max?: number
  readonly decimals?: number
  /** From this value on it is shown red. */
  readonly badFrom?: number
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
  /** Closed until somebody opens it: for what not every farm has. */
  readonly isCollapsed?: true
}

interface Variable {
  readonly name: string
  readonly label: string
  /** A metric that has the label of the variable's name. */
  readonly metric: string
}

export interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly variables: readonly Variable[]
  readonly rows: readonly Row[]
}

type Rest = Omit<Panel, 'kind' | 'title' | 'description' | 'unit' | 'queries' | 'width' | 'height'> &
  Partial<Pick<Panel, 'width' | 'height'>>

/** A line for each series over time. */
export function lines(
  title: string,
  description: string,
  unit: Unit,
  queries: readonly Query[],
  rest: Rest = {},
): Panel {
  return { kind: 'timeseries', title, description, unit, queries, width: 12, height: 8, ...rest }
}

/** One figure, as it is now. */
export function stat(title: string, description: string, unit: Unit, expr: string, rest: Rest = {}): Panel {
  return { kind: 'stat', title, description, unit, queries: [{ expr, legend: '' }], width: 4, height: 4, ...rest }
}

/** A bar for each series, as it is now. */
export function bars(title: string, description: string, unit: Unit, query: Query, rest: Rest = {}): Panel {
  return { kind: 'bargauge', title, description, unit, queries: [query], width: 12, height: 8, ...rest }
}

/** Columns from several queries, a row for each set of their labels. */
export function table(title: string, description: string, queries: readonly Query[], rest: Rest = {}): Panel {
  return { kind: 'table', title, description, unit: 'none', queries, width: 24, height: 9, ...rest }
}
