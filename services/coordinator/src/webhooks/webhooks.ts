import { createHmac } from 'node:crypto'
import { Limit } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, DoneDocument, WebhookDocument } from '@darkroom/proto'
import type { Clock } from '../clock.ts'
import type { CoordinatorEvents } from '../events.ts'
import { post } from './post.ts'

export interface WebhooksOptions {
  readonly store: ObjectStore
  readonly events: CoordinatorEvents
  readonly clock: Clock
  readonly signingKey: Buffer
  /** Whether addresses of private networks, and http, are reached too. */
  readonly mayBePrivate: boolean
}

const AT_ONCE = 8
const FIRST_REST_MS = 5_000
const LONGEST_REST_MS = 3_600_000
const GIVE_UP_AFTER_MS = 24 * 3_600_000

/**
 * Tells addresses that batches have ended (standardwebhooks.com). What is still to be told lies in the bucket, so that it survives
 * any coordinator: told at least once, always with the same id, tried for a day. Nothing of a batch waits for it.
 */
export class Webhooks {
  readonly #options: WebhooksOptions
  readonly #limit = new Limit(AT_ONCE)
  /** Of those that failed here: how often, and until when they rest. */
  readonly #failed = new Map<string, { readonly attempts: number; readonly untilMs: number }>()

  constructor(options: WebhooksOptions) {
    this.#options = options
  }

  /**
   * Tells of each batch that has ended and whose rest is over.
   * @param isOpen whether a batch is known not to have ended
   */
  async tellAll(isOpen: (batchId: string) => boolean, signal: AbortSignal): Promise<void> {
    const nowMs = this.#options.clock.nowMs()
    const work: Promise<void>[] = []
    for await (const { key } of this.#options.store.list(keys.webhooksPending)) {
      const batchId = key.slice(keys.webhooksPending.length)
      if (isOpen(batchId) || (this.#failed.get(batchId)?.untilMs ?? 0) > nowMs) continue
      work.push(this.#limit.run(() => this.#tell(batchId, signal)))
    }
    await Promise.all(work)
  }

  async #tell(batchId: string, signal: AbortSignal): Promise<void> {
    const { store, events, clock, mayBePrivate } = this.#options
    const batch = await store.getJson<BatchDocument>(keys.batch(batchId))
    if (batch?.webhook === undefined) return this.#dropAbandoned(batchId)
    const done = await store.getJson<DoneDocument>(keys.done(batchId))
    if (done === null || signal.aborted) return
    const { url } = batch.webhook
    const attempts = (this.#failed.get(batchId)?.attempts ?? 0) + 1
    try {
      const { body, headers } = this.#message(batch, done)
      await post(url, body, headers, { mayBePrivate, signal })
    } catch (reason) {
      if (signal.aborted) return
      const error = (reason as Error).message
      if (this.#hasPassed(done.endedAt)) {
        await this.#conclude(batchId, { url, deliveredAt: null, attempts, error })
        return events.webhookGivenUp(batchId, error)
      }
      const restMs = Math.min(FIRST_REST_MS * 2 ** (attempts - 1), LONGEST_REST_MS)
      this.#failed.set(batchId, { attempts, untilMs: clock.nowMs() + restMs })
      return events.webhookFailed(batchId, error)
    }
    await this.#conclude(batchId, { url, deliveredAt: clock.date().toISOString(), attempts })
    events.webhookDelivered(batchId)
  }

  #hasPassed(since: string): boolean {
    return this.#options.clock.date().getTime() - Date.parse(since) > GIVE_UP_AFTER_MS
  }

  /** A gateway may die between the note and the batch: what is no batch after a day will be none. */
  async #dropAbandoned(batchId: string): Promise<void> {
    const { store } = this.#options
    const noted = await store.getJson<{ notedAt: string }>(keys.webhookPending(batchId))
    if (noted !== null && this.#hasPassed(noted.notedAt)) await store.delete(keys.webhookPending(batchId))
  }

  async #conclude(batchId: string, outcome: WebhookDocument): Promise<void> {
    const { store } = this.#options
    await store.put(keys.webhook(batchId), JSON.stringify(outcome), { contentType: 'application/json' })
    await store.delete(keys.webhookPending(batchId))
    this.#failed.delete(batchId)
  }

  #message(batch: BatchDocument, done: DoneDocument): { body: string; headers: Record<string, string> } {
    const { id, tenant, createdAt, metadata, itemCount } = batch
    const { state, startedAt, endedAt, items, images } = done
    const data = { id, tenant, state, itemCount, items, images, createdAt, startedAt, endedAt, metadata }
    const body = JSON.stringify({ type: `batch.${state}`, timestamp: endedAt, data })
    const messageId = `msg_${id}_ended`
    const timestamp = String(Math.floor(this.#options.clock.date().getTime() / 1000))
    const signature = createHmac('sha256', this.#options.signingKey)
      .update(`${messageId}.${timestamp}.${body}`)
      .digest('base64')
    const headers = {
      'webhook-id': messageId,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    }
    return { body, headers }
  }
}
