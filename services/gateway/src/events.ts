import { Metrics } from '@darkroom/chassis'
import type { ErrorCode, Logger } from '@darkroom/chassis'

const REQUEST_BUCKETS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/** What happens in the gateway, one method each: the log line and the metrics together. Prompts go into neither. */
export class GatewayEvents {
  readonly metrics = new Metrics()
  readonly #log: Logger
  readonly #requests = this.metrics.histogram(
    'darkroom_gateway_request_seconds',
    'Time from the head of a request to the end of its answer, by route and status code',
    ['method', 'route', 'code'],
    REQUEST_BUCKETS,
  )
  readonly #open = this.metrics.gauge('darkroom_gateway_open_requests', 'Requests that are being answered now')
  readonly #eventStreams = this.metrics.gauge(
    'darkroom_gateway_event_clients',
    'Clients that follow a batch by SSE now',
  )
  readonly #batches = this.metrics.counter(
    'darkroom_gateway_batches_total',
    'Batches that were sent in, by what became of them: accepted, or the error code',
    ['outcome'],
  )
  readonly #items = this.metrics.counter(
    'darkroom_gateway_items_total',
    'Items of the batches that were sent in, accepted or refused with their batch',
    ['outcome'],
  )
  readonly #ingestBytes = this.metrics.counter('darkroom_gateway_ingest_bytes_total', 'Bytes of batches that were read')
  readonly #unheard = this.metrics.counter(
    'darkroom_gateway_unheard_batches_total',
    'Accepted batches that the coordinator was not told of, because it was away',
  )
  readonly #storeRequests = this.metrics.histogram(
    'darkroom_store_request_seconds',
    'Time of a request to the object store with its retries',
    ['op', 'outcome'],
    REQUEST_BUCKETS,
  )

  readonly #limited = this.metrics.counter(
    'darkroom_gateway_limited_requests_total',
    "Requests that were refused with 429, over their tenant's rate",
  )
  readonly #refused = this.metrics.counter(
    'darkroom_gateway_refused_callers_total',
    'Requests without a key that is known here (UNAUTHENTICATED), or with one that may not do this (FORBIDDEN)',
    ['code'],
  )

  readonly #auditGaps = this.metrics.counter(
    'darkroom_gateway_audit_gaps_total',
    'Entries of the audit log that could not be written; the log of the gateway has them',
  )

  constructor(log: Logger) {
    this.#log = log
  }

  requestOpened(): void {
    this.#open.inc()
  }

  /** `code` is the HTTP status, or "aborted" where the client went away. */
  requestEnded(request: { method: string; route: string; code: string; seconds: number; requestId: string }): void {
    const { method, route, code, seconds, requestId } = request
    this.#open.dec()
    this.#requests.observe({ method, route, code }, seconds)
    // A dashboard that looks every second would fill the log: what read something and went well is in the metrics.
    const level = READS.has(method) && Number(code) < 400 ? 'debug' : 'info'
    this.#log[level]({ method, route, code, seconds, requestId }, 'request ended')
  }

  requestFailed(requestId: string, err: unknown): void {
    this.#log.error({ requestId, err }, 'request failed')
  }

  eventStreamOpened(): void {
    this.#eventStreams.inc()
  }

  eventStreamClosed(): void {
    this.#eventStreams.dec()
  }

  bytesRead(bytes: number): void {
    this.#ingestBytes.inc(bytes)
  }

  batchAccepted(batch: { batchId: string; items: number; images: number; seconds: number }): void {
    this.#batches.inc({ outcome: 'accepted' })
    this.#items.inc({ outcome: 'accepted' }, batch.items)
    this.#log.info(batch, 'batch accepted')
  }

  batchRefused(batch: { batchId: string; items: number; code: ErrorCode }): void {
    this.#batches.inc({ outcome: batch.code })
    this.#items.inc({ outcome: 'refused' }, batch.items)
    this.#log.info(batch, 'batch refused')
  }

  partsNotDeleted(batchId: string, err: unknown): void {
    this.#log.warn({ batchId, err }, 'input parts of a refused batch are left behind')
  }

  coordinatorNotTold(batchId: string, err: unknown): void {
    this.#unheard.inc()
    this.#log.warn({ batchId, err }, 'coordinator was not told of a batch and will find it by listing')
  }

  isOpenToAll(host: string): void {
    this.#log.warn(
      { host },
      'open: whoever reaches this address may do everything; DARKROOM_GATEWAY_AUTH=keys asks for keys',
    )
  }

  requestLimited(tenant: string): void {
    this.#limited.inc()
    this.#log.info({ tenant }, 'tenant is over its requests a minute')
  }

  signInRefused(code: ErrorCode): void {
    this.#refused.inc({ code })
  }

  auditNotWritten(entry: object, err: unknown): void {
    this.#auditGaps.inc()
    this.#log.error({ ...entry, err }, 'an entry of the audit log could not be written: this line is all of it')
  }

  batchNotChecked(batchId: string, err: unknown): void {
    this.#log.warn({ batchId, err }, 'the input of a batch could not be checked; it is tried again')
  }

  pendingNotSeen(err: unknown): void {
    this.#log.warn({ err }, 'batches whose input is being checked could not be listed; it is tried again')
  }

  eventStreamBroken(batchId: string, err: unknown): void {
    this.#log.warn({ batchId, err }, 'event stream lost the coordinator and tries again')
  }

  storeRequested(op: string, outcome: string, seconds: number): void {
    this.#storeRequests.observe({ op, outcome }, seconds)
  }
}
