import { randomBytes } from 'node:crypto'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { FastifyRequest } from 'fastify'
import { callerOf } from '../auth/caller.ts'
import type { GatewayEvents } from '../events.ts'

/** What somebody has done that others may ask about later. */
export const AUDITED = [
  'batch.update',
  'batch.cancel',
  'batch.retry',
  'worker.drain',
  'key.create',
  'key.rotate',
  'key.revoke',
] as const
type AuditedAction = (typeof AUDITED)[number]

/** audit/YYYY-MM-DD/TIME-ID.json: written once, never changed. */
export interface AuditEntry {
  readonly at: string
  readonly action: AuditedAction
  /** Who: `key:ID`, `root`, `oidc:SUBJECT`, or `anyone` at an open gateway. */
  readonly subject: string
  readonly tenant: string
  /** The batch, the key or the worker. */
  readonly target: string
  readonly requestId: string
  /** What was asked for, and how it was before, where that is known. */
  readonly change: Readonly<Record<string, unknown>>
}

/** The log of what operators and tenants change, in the bucket: it outlives every process, and nothing of it is overwritten. */
export class AuditLog {
  readonly #store: ObjectStore
  readonly #events: GatewayEvents

  constructor(store: ObjectStore, events: GatewayEvents) {
    this.#store = store
    this.#events = events
  }

  /** Notes what was done. What was done is not undone where the note cannot be written: that is counted and logged whole. */
  async note(
    request: FastifyRequest,
    action: AuditedAction,
    target: string,
    change: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    const { subject, tenant } = callerOf(request)
    const at = new Date().toISOString()
    const entry: AuditEntry = { at, action, subject, tenant, target, requestId: request.id, change }
    try {
      await this.#store.putIfAbsent(keys.auditEntry(at, randomBytes(4).toString('hex')), JSON.stringify(entry), {
        contentType: 'application/json',
      })
    } catch (reason) {
      this.#events.auditNotWritten(entry, reason)
    }
  }

  /** Entries of a day (UTC) in order, from behind a key on. */
  async page(
    day: string,
    limit: number,
    after: string | null,
  ): Promise<{ readonly entries: readonly AuditEntry[]; readonly nextCursor: string | null }> {
    const entries: AuditEntry[] = []
    let last: string | null = null
    const options = after === null ? {} : { startAfter: keys.auditDay(day) + after }
    for await (const { key } of this.#store.list(keys.auditDay(day), options)) {
      if (entries.length === limit) return { entries, nextCursor: last }
      const entry = await this.#store.getJson<AuditEntry>(key)
      if (entry !== null) entries.push(entry)
      last = key.slice(keys.auditDay(day).length)
    }
    return { entries, nextCursor: null }
  }
}
