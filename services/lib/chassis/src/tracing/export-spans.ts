import { context, diag, DiagLogLevel, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { ReadableSpan, Span, SpanExporter } from '@opentelemetry/sdk-trace'
import { setTimeout as delay } from 'node:timers/promises'
import type { Counter } from '../metrics.ts'
import type { TracingOptions } from './tracing.ts'

const QUEUED = 8_192
const AT_ONCE = 512
const EVERY_MS = 2_000
/** Of a batch with its retries; a service that stops waits no longer for its last. */
const TIMEOUT_MS = 2_000
const COMPLAIN_EVERY_MS = 60_000

interface ExportOptions extends Pick<TracingOptions, 'service' | 'instance' | 'metrics' | 'log'> {
  readonly endpoint: string
  readonly headers: Record<string, string>
  /** Of the traces that begin here. */
  readonly share: number
}

/** Makes the API's spans real ones, for this process, and sends them to the collector in batches. */
export function exportSpans({
  endpoint,
  headers,
  share,
  service,
  instance,
  metrics,
  log,
}: ExportOptions): AsyncDisposable {
  const spans = metrics.counter(
    'darkroom_spans_total',
    'Spans that ended, and those of them that the collector has taken: the others are lost, or still queued.',
    ['outcome'],
  )
  let complainedAtMs = -Infinity
  const complain = (message: string): void => {
    if (performance.now() - complainedAtMs < COMPLAIN_EVERY_MS) return
    complainedAtMs = performance.now()
    log.warn({ reason: message }, 'traces cannot be sent and are lost')
  }
  const ignore = (): void => {}
  diag.setLogger(
    { error: complain, warn: complain, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  )
  const url = `${endpoint.replace(/\/$/, '')}/v1/traces`
  const exporter = new CountedExporter(
    new OTLPTraceExporter({ url, headers, timeoutMillis: TIMEOUT_MS }),
    spans,
    complain,
  )
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      ...(instance !== null && { 'service.instance.id': instance }),
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
    spanProcessors: [
      { ...COUNTS_NOTHING, onEnd: () => spans.inc({ outcome: 'ended' }) },
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: QUEUED,
        maxExportBatchSize: AT_ONCE,
        scheduledDelayMillis: EVERY_MS,
        exportTimeoutMillis: TIMEOUT_MS,
      }),
    ],
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  trace.setGlobalTracerProvider(provider)
  log.info({ endpoint, share }, 'traces are sent')
  return {
    async [Symbol.asyncDispose]() {
      await Promise.race([provider.shutdown().catch(() => {}), delay(TIMEOUT_MS, undefined, { ref: false })])
    },
  }
}

const COUNTS_NOTHING = {
  onStart: (_span: Span): void => {},
  forceFlush: async (): Promise<void> => {},
  shutdown: async (): Promise<void> => {},
}

/** Counts what the collector has taken, and says where it takes nothing. */
class CountedExporter implements SpanExporter {
  readonly #exporter: SpanExporter
  readonly #spans: Counter<'outcome'>
  readonly #complain: (message: string) => void

  constructor(exporter: SpanExporter, spans: Counter<'outcome'>, complain: (message: string) => void) {
    this.#exporter = exporter
    this.#spans = spans
    this.#complain = complain
  }

  export(batch: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#exporter.export(batch, (result) => {
      if (result.code === ExportResultCode.SUCCESS) this.#spans.inc({ outcome: 'exported' }, batch.length)
      else this.#complain(result.error?.message ?? 'the collector refused them')
      done(result)
    })
  }

  forceFlush(): Promise<void> {
    return this.#exporter.forceFlush?.() ?? Promise.resolve()
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown()
  }
}
