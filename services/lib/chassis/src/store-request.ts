import { S3ServiceException } from '@aws-sdk/client-s3'
import { DarkroomError } from './errors.ts'
import { inSpan, SpanKind } from './tracing/spans.ts'

/** Called once for each request: its operation, how it ended and how long it took with its retries. */
export type RequestListener = (op: string, outcome: 'ok' | 'refused' | 'error', seconds: number) => void

/** What is an answer rather than an error: that nothing is there, or that something is. */
export interface Tolerated {
  readonly missing?: boolean
  readonly conflict?: boolean
}

/**
 * Sends a request to the store, measured and, in a trace, as a span.
 * @returns null for what is tolerated
 * @throws DarkroomError STORE_UNAVAILABLE; AbortError
 */
export function sendRequest<T>(op: string, send: () => Promise<T>, onRequest: RequestListener): Promise<T>
export function sendRequest<T>(
  op: string,
  send: () => Promise<T>,
  onRequest: RequestListener,
  tolerate: Tolerated,
): Promise<T | null>
export function sendRequest<T>(
  op: string,
  send: () => Promise<T>,
  onRequest: RequestListener,
  { missing, conflict }: Tolerated = {},
): Promise<T | null> {
  const attributes = { 'rpc.system': 'aws-api', 'rpc.service': 'S3', 'rpc.method': op }
  return inSpan(`S3 ${op}`, { kind: SpanKind.CLIENT, attributes }, async () => {
    const start = performance.now()
    const observe = (outcome: 'ok' | 'refused' | 'error'): void =>
      onRequest(op, outcome, (performance.now() - start) / 1000)
    try {
      const answer = await send()
      observe('ok')
      return answer
    } catch (reason) {
      const status = reason instanceof S3ServiceException ? (reason.$metadata.httpStatusCode ?? 0) : 0
      // 409: S3 answers so while another conditional write of the key is under way.
      if ((missing && status === 404) || (conflict && (status === 412 || status === 409))) {
        observe('refused')
        return null
      }
      observe('error')
      if (reason instanceof Error && reason.name === 'AbortError') throw reason
      throw new DarkroomError('STORE_UNAVAILABLE', `${op} failed: ${describe(reason)}`, { cause: reason })
    }
  })
}

function describe(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason)
  const first = reason instanceof AggregateError ? (reason.errors[0] as Error | undefined) : undefined
  return `${reason.name} ${first?.message ?? reason.message}`.trim()
}
