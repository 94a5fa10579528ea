import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export type { Counter, Gauge, Histogram } from 'prom-client'

/** What a label may be. Closed sets only, or the first hundred of an open one, such as tenants: never an id, a prompt or a path. */
const ALLOWED_LABELS = new Set([
  'tenant',
  'bucket', 'checkpoint', 'code', 'device', 'direction', 'gpu', 'kind', 'method', 'op', 'outcome', 'pool', 'reason', 'route', 'scheduler',
  'service', 'stage', 'state', 'task', 'version', 'le', 'quantile',
]) // prettier-ignore
const UNITS = [
  'price',
  'seconds',
  'bytes',
  'ratio',
  'watts',
  'celsius',
  'info',
  'rows',
  'shards',
  'items',
  'batches',
  'workers',
  'clients',
  'requests',
  'connected',
  'leader',
  'checkpoints',
  'lanes',
]

/** One service's metrics in a registry of its own, so that several services can live in one process. */
export class Metrics {
  readonly registry = new Registry()

  constructor() {
    collectDefaultMetrics({ register: this.registry })
  }

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: prefixed(name), help, labelNames: [...labelNames], registers: [this.registry] })
  }

  gauge<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    return new Gauge({ name: prefixed(name), help, labelNames: [...labelNames], registers: [this.registry] })
  }

  histogram<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: readonly number[],
  ): Histogram<L> {
    return new Histogram({
      name: prefixed(name),
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [this.registry],
    })
  }
}

function prefixed(name: string): string {
  if (!name.startsWith('darkroom_')) throw new RangeError(`a metric's name starts with darkroom_, got '${name}'`)
  return name
}

/** What is wrong with a registry's names, help texts, units and labels; empty where all is well. */
export function findMetricProblems(registry: Registry): string[] {
  const own = registry.getMetricsAsArray().filter((metric) => metric.name.startsWith('darkroom_'))
  return own.flatMap((metric) => {
    const { name, help, type, labelNames } = metric as unknown as {
      name: string
      help: string
      type: string
      labelNames: string[]
    }
    const problems: string[] = []
    if (!/^darkroom_[a-z0-9]+(_[a-z0-9]+)*$/.test(name)) problems.push(`${name}: not in snake case`)
    if (help.trim().length < 10) problems.push(`${name}: needs a help text`)
    const isCounter = type === 'counter'
    if (isCounter !== name.endsWith('_total')) problems.push(`${name}: counters, and only they, end in _total`)
    const unit = name
      .replace(/_total$/, '')
      .split('_')
      .at(-1)!
    if (!isCounter && !UNITS.includes(unit)) problems.push(`${name}: ends in no known unit (${UNITS.join(', ')})`)
    for (const label of labelNames)
      if (!ALLOWED_LABELS.has(label)) problems.push(`${name}: label '${label}' is not in the closed list`)
    return problems
  })
}
