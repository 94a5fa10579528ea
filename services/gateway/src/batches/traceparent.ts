import { traceparentNow } from '@darkroom/chassis'
import { randomBytes } from 'node:crypto'

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** Of the request's span where traces are kept; else the caller's W3C trace context where it sent a valid one, or a new one. */
export function traceparentOf(header: unknown): string {
  const now = traceparentNow()
  if (now !== null) return now
  if (typeof header === 'string' && TRACEPARENT.test(header)) return header
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`
}
