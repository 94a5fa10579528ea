import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Attributes, Context, Span } from '@opentelemetry/api'

export { SpanKind } from '@opentelemetry/api'
export type { Span } from '@opentelemetry/api'

export interface SpanOptions {
  /** Default: INTERNAL. */
  readonly kind?: SpanKind
  /** W3C traceparent of what it belongs to, where that is in another process. Default: the span that is active here. */
  readonly parent?: string
  readonly attributes?: Attributes
}

const tracer = trace.getTracer('darkroom')

/**
 * Runs `work` in a span that ends with it; what it throws is written down. Where no trace goes on, there is only `work`: a span
 * begins a trace at the gateway alone, so that what services do by themselves makes none.
 */
export async function inSpan<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
  const { kind = SpanKind.INTERNAL, parent, attributes = {} } = options
  const around = parent === undefined ? context.active() : contextOf(parent)
  if (trace.getSpan(around) === undefined) return work()
  const span = tracer.startSpan(name, { kind, attributes }, around)
  try {
    return await context.with(trace.setSpan(around, span), work)
  } catch (reason) {
    fail(span, reason)
    throw reason
  } finally {
    span.end()
  }
}

/** Adds to the span that is active. */
export function describeSpan(attributes: Attributes): void {
  trace.getActiveSpan()?.setAttributes(attributes)
}

/** A request from outside, with the caller's traceparent where it sent one. Whoever begins it ends it. */
export function startRequestSpan(
  name: string,
  headers: Readonly<Record<string, unknown>>,
  attributes: Attributes,
): { readonly span: Span; readonly within: <T>(work: () => T) => T } {
  const around = propagation.extract(ROOT_CONTEXT, headers)
  const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, around)
  const inside = trace.setSpan(around, span)
  return { span, within: (work) => context.with(inside, work) }
}

/** @param reason an error, or a sentence */
export function fail(span: Span, reason: unknown): void {
  const message = reason instanceof Error ? reason.message : String(reason)
  span.setStatus({ code: SpanStatusCode.ERROR, message })
}

/** Of the span that is active, to go along with what is sent; null where there is none. */
export function traceparentNow(): string | null {
  const carrier: { traceparent?: string } = {}
  propagation.inject(context.active(), carrier)
  return carrier.traceparent ?? null
}

function contextOf(traceparent: string): Context {
  return propagation.extract(ROOT_CONTEXT, { traceparent })
}
