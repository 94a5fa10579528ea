import { number, optional, secret, url } from '../config.ts'
import type { Secret, Values } from '../config.ts'
import { DarkroomError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** By the names that OpenTelemetry gave them. */
export const TRACING_VARIABLES = {
  otlpEndpoint: optional(
    url('OTEL_EXPORTER_OTLP_ENDPOINT', 'collector that traces go to, OTLP over HTTP with JSON; none means no traces'),
  ),
  otlpHeaders: optional(
    secret('OTEL_EXPORTER_OTLP_HEADERS', 'headers for the collector, as in authorization=Bearer%20…,x-team=render'),
  ),
  tracesSampled: number(
    'OTEL_TRACES_SAMPLER_ARG',
    'share of traces that are kept where the caller has not decided (parentbased_traceidratio)',
    1,
    { min: 0, max: 1 },
  ),
} as const

export interface TracingOptions {
  readonly config: Values<typeof TRACING_VARIABLES>
  /** As in darkroom-worker. */
  readonly service: string
  /** Which of them; null: told by its host alone. */
  readonly instance: string | null
  readonly metrics: Metrics
  readonly log: Logger
}

/**
 * Sends spans to a collector from now on; without one nothing is loaded. Disposal sends what is left, for two seconds at most. A
 * collector that is away costs its spans and nothing else.
 * @throws DarkroomError INVALID_CONFIG for headers that are none
 */
export async function startTracing(options: TracingOptions): Promise<AsyncDisposable> {
  const { otlpEndpoint: endpoint, otlpHeaders, tracesSampled } = options.config
  if (endpoint === null) return { [Symbol.asyncDispose]: async () => {} }
  const { exportSpans } = await import('./export-spans.ts')
  return exportSpans({ ...options, endpoint, headers: headersOf(otlpHeaders), share: tracesSampled })
}

function headersOf(text: Secret | null): Record<string, string> {
  const pairs = (text?.reveal() ?? '').split(',').filter((pair) => pair.trim() !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const place = pair.indexOf('=')
      if (place < 1 || /%(?![0-9a-f]{2})/iu.test(pair)) throw malformed()
      return [pair.slice(0, place).trim(), decodeURIComponent(pair.slice(place + 1).trim())]
    }),
  )
}

function malformed(): DarkroomError {
  const field = TRACING_VARIABLES.otlpHeaders.name
  return new DarkroomError('INVALID_CONFIG', `${field} is not usable`, {
    problems: [{ field, message: 'want name=value, several with commas between, special characters as %20' }],
  })
}
