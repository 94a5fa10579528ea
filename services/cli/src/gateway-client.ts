import { DarkroomError } from '@darkroom/chassis'
import type { ErrorCode, Problem } from '@darkroom/chassis'

export interface BatchJson {
  readonly id: string
  readonly state: 'queued' | 'running' | 'finalizing' | 'completed' | 'cancelling' | 'cancelled'
  readonly paused: boolean
  readonly priority: number
  /** When it is wanted. */
  readonly completeBy: string | null
  readonly approval: { readonly afterItems: number; readonly state: 'rendering' | 'waiting' | 'given' } | null
  /** Runs of indices; null for none, absent from an older gateway. */
  readonly pausedItems?: string | null
  readonly cancelledItems?: string | null
  readonly atRisk: boolean
  readonly createdAt: string | null
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly itemCount: number
  readonly imageCount: number
  readonly items: {
    readonly open: number
    readonly rendered: number
    readonly failed: number
    readonly cancelled: number
  }
  readonly imagesRendered: number
  readonly imagesFailed: number
  readonly imagesFlagged: number
  readonly itemsWarned: number
  readonly imagesPerSecond: number
  readonly etaSeconds: number | null
  readonly schedulers: readonly {
    readonly scheduler: string
    readonly images: number
    /** Images that the items ask of it; null, and absent from an older gateway, where nobody counted them. */
    readonly imageCount?: number | null
    readonly imagesPerSecond?: number
    readonly steps: number
    readonly seconds: number
  }[]
}

/** What a batch would take and cost. */
export interface QuoteJson {
  readonly items: number
  readonly images: number
  readonly deviceSeconds: number
  readonly workers: number
  readonly secondsAlone: number | null
  readonly secondsBehindAll: number | null
  readonly isMeasured: boolean
  readonly price: number | null
}

interface LedgerSumJson {
  readonly deviceSeconds: number
  readonly images: number
  readonly steps: number
  readonly retries: number | null
  readonly loadSeconds: number | null
  readonly failedSeconds: number | null
  readonly price: number | null
}

/** What ended batches used. */
export interface LedgerJson {
  readonly from: string
  readonly to: string
  readonly by: string
  readonly lines: readonly (LedgerSumJson & { readonly name: string })[]
  readonly total: LedgerSumJson
  /** What became of the time of all devices; null for who is no admin, absent from an older gateway. */
  readonly farm?: {
    readonly wallSeconds: number
    readonly renderSeconds: number
    readonly billedSeconds: number
    readonly unbilledSeconds: number
    readonly loadSeconds: number
    readonly idleSeconds: number
  } | null
}

/** Why an item is where it is. */
export interface ExplanationJson {
  readonly reason: string
  readonly message: string
  readonly remedy: string | null
  readonly shardId: string | null
}

export interface WorkerJson {
  readonly id: string
  readonly state: string
  readonly pool: string
  readonly device: { readonly kind: string; readonly name: string; readonly reason: string } | null
  /** Why it is given nothing. */
  readonly quarantine: string | null
  readonly residentCheckpoints: readonly string[]
  readonly running: readonly {
    readonly batchId: string
    readonly shardId: string
    readonly attempt: number
    readonly stepsDone: number
    readonly stepsTotal: number
    readonly stepsResumed: number
  }[]
  readonly imagesRendered: number
  readonly busySeconds: number
}

/** A picture on its way. */
export interface PreviewJson {
  readonly item: number
  readonly image: number
  readonly step: number
  readonly steps: number
  /** A JPEG as a data URL. */
  readonly picture: string
}

/** The problem document of RFC 9457 as the gateway writes it. */
interface ProblemJson {
  readonly title?: string
  readonly detail?: string
  readonly status?: number
  readonly errors?: readonly Problem[]
}

/** Something that somebody changed. */
export interface AuditJson {
  readonly at: string
  readonly action: string
  readonly subject: string
  readonly tenant: string
  readonly target: string
  readonly change: object
}

/** An API key without its secret. */
export interface KeyJson {
  readonly id: string
  readonly name: string
  readonly tenant: string
  readonly scopes: readonly string[]
  readonly createdAt: string
  readonly expiresAt: string | null
}

const RECONNECT_MS = 1_000
const REFUSALS: Readonly<Record<number, ErrorCode>> = { 401: 'UNAUTHENTICATED', 403: 'FORBIDDEN', 404: 'NOT_FOUND' }

function jsonBody(value: object): RequestInit {
  return { body: JSON.stringify(value), headers: { 'content-type': 'application/json' } }
}

/** The gateway's HTTP API, as far as the command line needs it. Refusals become DarkroomErrors. */
export class GatewayClient {
  readonly url: string
  readonly #apiKey: string | null

  /** @param apiKey sent with every request; null where the gateway takes everybody */
  constructor(url: string, apiKey: string | null = null) {
    this.url = url.replace(/\/$/, '')
    this.#apiKey = apiKey
  }

  /** Whom the gateway takes us for. */
  me(): Promise<{ tenant: string; subject: string; scopes: readonly string[]; isOpen: boolean }> {
    return this.#json('GET', '/api/v1/me')
  }

  async keys(): Promise<readonly KeyJson[]> {
    return (await this.#json<{ keys: KeyJson[] }>('GET', '/api/v1/keys')).keys
  }

  /** Who has changed what on a day: all pages of it. */
  async audit(day?: string): Promise<readonly AuditJson[]> {
    const entries: AuditJson[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const query = new URLSearchParams({ limit: '1000', ...(day && { day }), ...(cursor && { cursor }) }).toString()
      const page: { entries: AuditJson[]; nextCursor: string | null } = await this.#json(
        'GET',
        `/api/v1/audit?${query}`,
      )
      entries.push(...page.entries)
      cursor = page.nextCursor
    }
    return entries
  }

  createKey(request: object): Promise<KeyJson & { readonly key: string }> {
    return this.#json('POST', '/api/v1/keys', jsonBody(request))
  }

  rotateKey(id: string, overlapSeconds: number): Promise<KeyJson & { readonly key: string }> {
    return this.#json('POST', `/api/v1/keys/${encodeURIComponent(id)}/rotate`, jsonBody({ overlapSeconds }))
  }

  revokeKey(id: string): Promise<KeyJson> {
    return this.#json('DELETE', `/api/v1/keys/${encodeURIComponent(id)}`)
  }

  submitJson(body: object): Promise<BatchJson> {
    return this.#sendItems('batches', body)
  }

  /** Streams a file of one item a line; defaults go into the query. */
  submitNdjson(lines: AsyncIterable<Uint8Array>, defaults: Record<string, string>): Promise<BatchJson> {
    return this.#sendLines('batches', lines, defaults)
  }

  /** What a batch would take and cost; nothing is submitted. */
  quoteJson(body: object): Promise<QuoteJson> {
    return this.#sendItems('quote', body)
  }

  quoteNdjson(lines: AsyncIterable<Uint8Array>, defaults: Record<string, string>): Promise<QuoteJson> {
    return this.#sendLines('quote', lines, defaults)
  }

  /** Stores a picture that items start from. */
  async uploadPicture(bytes: Uint8Array<ArrayBuffer>): Promise<{ readonly key: string }> {
    const headers = { 'content-type': 'application/octet-stream' }
    return this.#json('POST', '/api/v1/pictures', { body: bytes, headers })
  }

  batch(id: string): Promise<BatchJson> {
    return this.#json('GET', `/api/v1/batches/${encodeURIComponent(id)}`)
  }

  async batches(limit: number): Promise<readonly BatchJson[]> {
    return (await this.#json<{ batches: BatchJson[] }>('GET', `/api/v1/batches?limit=${limit}`)).batches
  }

  update(
    id: string,
    change: {
      readonly priority?: number
      readonly paused?: boolean
      readonly completeBy?: string
      readonly approved?: true
      /** Runs of indices. */
      readonly cancelItems?: string
      readonly pauseItems?: string
      readonly resumeItems?: string
    },
  ): Promise<BatchJson> {
    const headers = { 'content-type': 'application/json' }
    return this.#json('PATCH', `/api/v1/batches/${encodeURIComponent(id)}`, { body: JSON.stringify(change), headers })
  }

  explain(id: string, item: string): Promise<ExplanationJson> {
    const path = `/api/v1/batches/${encodeURIComponent(id)}/items/${encodeURIComponent(item)}/explanation`
    return this.#json('GET', path)
  }

  /** @param items only these; undefined: all that is left */
  retry(id: string, items?: string): Promise<BatchJson> {
    const query = items === undefined ? '' : `?${new URLSearchParams({ items }).toString()}`
    return this.#json('POST', `/api/v1/batches/${encodeURIComponent(id)}/retry${query}`)
  }

  cancel(id: string): Promise<BatchJson> {
    return this.#json('POST', `/api/v1/batches/${encodeURIComponent(id)}/cancel`)
  }

  ledger(query: Readonly<Record<string, string>>): Promise<LedgerJson> {
    return this.#json('GET', `/api/v1/ledger?${new URLSearchParams(query).toString()}`)
  }

  async workers(): Promise<readonly WorkerJson[]> {
    return (await this.#json<{ workers: WorkerJson[] }>('GET', '/api/v1/workers')).workers
  }

  async drain(workerId: string): Promise<void> {
    await this.#send('POST', `/api/v1/workers/${encodeURIComponent(workerId)}/drain`)
  }

  async checkpoints(): Promise<readonly { name: string; pin: string; tags: readonly string[] }[]> {
    return (
      await this.#json<{ checkpoints: { name: string; pin: string; tags: string[] }[] }>('GET', '/api/v1/checkpoints')
    ).checkpoints
  }

  /** All pictures of a batch on one: a PNG. */
  async contactSheet(id: string): Promise<Uint8Array> {
    const response = await this.#send('GET', `/api/v1/batches/${encodeURIComponent(id)}/contact-sheet`)
    return new Uint8Array(await response.arrayBuffer())
  }

  /** A whole answer as a stream. @throws DarkroomError */
  async download(path: string): Promise<Response> {
    return this.#send('GET', path)
  }

  /**
   * The batch now and after each change, until it ends; goes on after a broken connection where it stopped. A DarkroomError of
   * `onPreview` ends it.
   */
  async *follow(
    id: string,
    signal: AbortSignal,
    onPreview: (preview: PreviewJson) => Promise<void> = async () => {},
  ): AsyncGenerator<BatchJson> {
    let last: string | null = null
    for (;;) {
      try {
        const response = await this.#send('GET', `/api/v1/batches/${encodeURIComponent(id)}/events`, {
          headers: { accept: 'text/event-stream', ...(last !== null && { 'last-event-id': last }) },
          signal,
        })
        if (response.status === 204) return
        for await (const event of eventsOf(response)) {
          if (event.name === 'preview') {
            await onPreview(JSON.parse(event.data) as PreviewJson)
            continue
          }
          last = event.id
          yield JSON.parse(event.data) as BatchJson
          if (event.name === 'end') return
        }
      } catch (reason) {
        if (signal.aborted) return
        if (reason instanceof DarkroomError && reason.code !== 'COORDINATOR_UNAVAILABLE') throw reason
      }
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS))
    }
  }

  #sendItems<T>(to: 'batches' | 'quote', body: object): Promise<T> {
    const headers = { 'content-type': 'application/json' }
    return this.#json('POST', `/api/v1/${to}`, { body: JSON.stringify(body), headers })
  }

  #sendLines<T>(
    to: 'batches' | 'quote',
    lines: AsyncIterable<Uint8Array>,
    defaults: Record<string, string>,
  ): Promise<T> {
    const query = new URLSearchParams(defaults).toString()
    return this.#json('POST', `/api/v1/${to}${query === '' ? '' : `?${query}`}`, {
      body: lines as unknown as NonNullable<RequestInit['body']>,
      headers: { 'content-type': 'application/x-ndjson' },
      duplex: 'half',
    })
  }

  async #json<T>(method: string, path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<T> {
    return (await (await this.#send(method, path, init)).json()) as T
  }

  async #send(method: string, path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Response> {
    let response: Response
    try {
      const headers = new Headers(init.headers)
      if (this.#apiKey !== null) headers.set('authorization', `Bearer ${this.#apiKey}`)
      response = await fetch(`${this.url}${path}`, { method, ...init, headers })
    } catch (reason) {
      if (init.signal?.aborted) throw reason
      throw new DarkroomError(
        'COORDINATOR_UNAVAILABLE',
        `no gateway answers at ${this.url}: start one with npm run dev, or set DARKROOM_GATEWAY_URL`,
        { cause: reason },
      )
    }
    if (response.ok) return response
    const problem = (await response.json().catch(() => ({}))) as ProblemJson
    const { status } = response
    const code = REFUSALS[status] ?? (status >= 500 ? 'COORDINATOR_UNAVAILABLE' : 'INVALID_REQUEST')
    const remedy = status === 401 ? `: darkroom login ${this.url} --key-stdin, or set DARKROOM_API_KEY` : ''
    throw new DarkroomError(code, `${problem.detail ?? problem.title ?? `the gateway answered ${status}`}${remedy}`, {
      problems: problem.errors ?? [],
    })
  }
}

/** Server-sent events of a response. */
async function* eventsOf(response: Response): AsyncGenerator<{ id: string | null; name: string; data: string }> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body! as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const field = (name: string): string[] =>
        lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart())
      const data = field('data')
      if (data.length > 0)
        yield { id: field('id')[0] ?? null, name: field('event')[0] ?? 'message', data: data.join('\n') }
    }
  }
}
