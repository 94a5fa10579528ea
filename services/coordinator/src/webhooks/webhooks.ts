import { createHmac } from 'node:crypto'
import { Limit } from '@darkroom/chassis'
import type { ObjectStore, Secret } from '@darkroom/chassis'
import { keys } from '@darkroom/proto'
import type { BatchDocument, DoneDocument, WebhookDocument } from '@darkroom/proto'
import type { Clock } from '../clock.ts'
import type { CoordinatorEvents } from '../events.ts'
import { post } from './post.ts'

export interface WebhooksOptions {
  readonly store: ObjectStore
  readonly events: CoordinatorEvents
  readonly clock: Clock
  /** Standard Webhooks: whsec_ and base64. */
  readonly secret: Secret
  /** Whether addresses of private networks, and http, are reached too. */
  readonly mayBePrivate: boolean
}

const LOOK_EVERY_MS = 3_000
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
  readonly #signal: AbortSignal
  readonly #limit = new Limit(AT_ONCE)
  /** Of those that failed here: how often, and until when they rest. */
  readonly #failed = new Map<string, { readonly attempts: number; readonly untilMs: number }>()

  constructor(options: WebhooksOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
  }

  /** Until the signal aborts. */
  async run(): Promise<void> {
    const { clock, events } = this.#options
    while (!this.#signal.aborted) {
      await this.tellAll().catch((err: unknown) => events.webhooksNotSeen(err))
      await clock.delay(LOOK_EVERY_MS, this.#signal).catch(() => {})
    }
  }

  /** Tells of each batch that has ended and whose rest is over. */
  async tellAll(): Promise<void> {
    const nowMs = this.#options.clock.nowMs()
    const work: Promise<void>[] = []
    for await (const { key } of this.#options.store.list(keys.webhooksPending)) {
      const batchId = key.slice(keys.webhooksPending.length)
      if ((this.#failed.get(batchId)?.untilMs ?? 0) <= nowMs) work.push(this.#limit.run(() => this.#tell(batchId)))
    }
    await Promise.all(work)
  }

  async #tell(batchId: string): Promise<void> {
    const { store, events, mayBePrivate } = this.#options
    const done = await store.getJson<DoneDocument>(keys.done(batchId))
    if (done === null) return
    const batch = await store.getJson<BatchDocument>(keys.batch(batchId))
    if (batch?.webhook === undefined) return store.delete(keys.webhookPending(batchId))
    const { url } = batch.webhook
    const { attempts } = this.#failed.get(batchId) ?? { attempts: 0 }
    try {
      const { body, headers } = this.#message(batch, done)
      await post(url, body, headers, { mayBePrivate, signal: this.#signal })
      await this.#conclude(batchId, { url, deliveredAt: new Date().toISOString(), attempts: attempts + 1 })
      events.webhookDelivered(batchId)
    } catch (reason) {
      if (this.#signal.aborted) return
      const error = (reason as Error).message
      if (Date.now() - Date.parse(done.endedAt) > GIVE_UP_AFTER_MS) {
        await this.#conclude(batchId, { url, deliveredAt: null, attempts: attempts + 1, error })
        return events.webhookGivenUp(batchId, error)
      }
      const restMs = Math.min(FIRST_REST_MS * 2 ** attempts, LONGEST_REST_MS)
      this.#failed.set(batchId, { attempts: attempts + 1, untilMs: this.#options.clock.nowMs() + restMs })
      events.webhookFailed(batchId, error)
    }
  }

  async #conclude(batchId: string, outcome: WebhookDocument): Promise<void> {
    const { store } = this.#options
    await store.put(keys.webhook(batchId), JSON.stringify(outcome), { contentType: 'application/json' })
    await store.delete(keys.webhookPending(batchId))
    this.#failed.delete(batchId)
  }

  #message(batch: BatchDocument, done: DoneDocument): { body: string; headers: Record<string, string> } {
    const { id, tenant, metadata, itemCount } = batch
    const { state, startedAt, endedAt, items, images } = done
    const data = {
      id,
      tenant,
      state,
      itemCount,
      items,
      images,
      createdAt: batch.createdAt,
      startedAt,
      endedAt,
      metadata,
    }
    const body = JSON.stringify({ type: `batch.${state}`, timestamp: endedAt, data })
    const timestamp = String(Math.floor(Date.now() / 1000))
    const messageId = `msg_${id}_ended`
    const key = Buffer.from(this.#options.secret.reveal().replace(/^whsec_/, ''), 'base64')
    const signature = createHmac('sha256', key).update(`${messageId}.${timestamp}.${body}`).digest('base64')
    return {
      body,
      headers: {
        'webhook-id': messageId,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature}`,
      },
    }
  }
}
