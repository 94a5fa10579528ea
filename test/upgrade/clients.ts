import { GatewayClient } from '@darkroom/cli'
import { setTimeout as delay } from 'node:timers/promises'

/** What a caller waits where nobody says how long: the gateway's own Retry-After. */
const RETRY_MS = 2_000
const POLL_MS = 200
const SUBMIT_MS = 1_500
/** One for each of two coordinators that are replaced in a row, and one for a gateway. */
const MOST_RETRIES = 3

/** Callers of the gateway who do what its answers tell them to, and note what that did not help with. */
export class Clients {
  readonly counts = { requests: 0, retries: 0, events: 0 }
  /** What the retries that the answers ask for did not cure. */
  readonly failures: string[] = []
  /** Ids of the small batches that were accepted, each by one key. */
  readonly submitted = new Set<string>()
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** Asks for a batch again and again. */
  async poll(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#ask(`/api/v1/batches/${id}`)
      await delay(POLL_MS)
    }
  }

  /** Who has which shard. */
  async workers(): ReturnType<GatewayClient['workers']> {
    const answer = (await this.#ask('/api/v1/workers')) as { workers: Awaited<ReturnType<GatewayClient['workers']>> }
    return answer.workers
  }

  /** Follows a batch by its events to its end, as `darkroom watch` does. */
  async follow(id: string): Promise<void> {
    let rendered = 0
    let state = ''
    for await (const batch of new GatewayClient(this.#url).follow(id, new AbortController().signal)) {
      this.counts.events++
      if (batch.items.rendered < rendered)
        this.failures.push(`an event told of ${batch.items.rendered} after ${rendered}`)
      rendered = batch.items.rendered
      state = batch.state
    }
    if (state !== 'completed') this.failures.push(`the events of ${id} ended with '${state}'`)
  }

  /** Submits small batches, each under a key of its own, so that a second try makes no second batch. */
  async submit(item: object, signal: AbortSignal): Promise<void> {
    for (let n = 0; !signal.aborted; n++) {
      const headers = { 'content-type': 'application/json', 'idempotency-key': `rehearsal-${n}` }
      const body = JSON.stringify({ items: [item] })
      const { id } = (await this.#ask('/api/v1/batches', { method: 'POST', headers, body })) as { id: string }
      if (this.submitted.has(id)) this.failures.push(`two keys got batch ${id}`)
      this.submitted.add(id)
      await delay(SUBMIT_MS)
    }
  }

  async #ask(at: string, init: RequestInit = {}): Promise<unknown> {
    this.counts.requests++
    const problems: string[] = []
    for (;;) {
      const { answer, problem, retryMs } = await once(`${this.#url}${at}`, init)
      if (problem === null) return answer
      problems.push(problem)
      this.counts.retries++
      if (problems.length > MOST_RETRIES || retryMs === null)
        this.failures.push(`${init.method ?? 'GET'} ${at}: ${problems.join(', then ')}`)
      await delay(retryMs ?? RETRY_MS)
    }
  }
}

interface Outcome {
  readonly answer: unknown
  readonly problem: string | null
  /** Null where an answer does not say that asking again is of use. */
  readonly retryMs: number | null
}

async function once(url: string, init: RequestInit): Promise<Outcome> {
  let response: Response
  let text: string
  try {
    response = await fetch(url, init)
    text = await response.text()
  } catch (reason) {
    const { cause } = reason as Error
    return { answer: null, problem: String(cause instanceof Error ? cause.message : reason), retryMs: RETRY_MS }
  }
  if (response.ok) return { answer: JSON.parse(text), problem: null, retryMs: 0 }
  const retryAfter = response.headers.get('retry-after')
  const retryMs = retryAfter === null ? null : Number(retryAfter) * 1000
  return { answer: null, problem: `${response.status} ${text}`, retryMs }
}
