import type { Paths } from './api-types.ts'

type Of<P extends keyof Paths, M, K extends string> = M extends keyof Paths[P]
  ? K extends keyof Paths[P][M]
    ? Paths[P][M][K]
    : never
  : never

type Answer<P extends keyof Paths, M extends keyof Paths[P] = 'get' & keyof Paths[P]> = Of<P, M, 'answer'>
export type Batch = Answer<'/api/v1/batches/{id}'>
export type BatchProgress = Answer<'/api/v1/batches'>['batches'][number]
export type Item = Answer<'/api/v1/batches/{id}/items'>['items'][number]
export type Worker = Answer<'/api/v1/workers'>['workers'][number]
export type Checkpoint = Answer<'/api/v1/checkpoints'>['checkpoints'][number]
export type Scheduler = Answer<'/api/v1/schedulers'>['schedulers'][number]
export type FarmTime = NonNullable<Answer<'/api/v1/ledger'>['farm']>
export type ItemRequest = Of<'/api/v1/batches', 'post', 'body'>['items'][number]

interface Problem {
  readonly field?: string
  readonly message: string
}

/** What the gateway refused, in its own words. */
export class ApiError extends Error {
  readonly status: number
  readonly problems: readonly Problem[]

  constructor(status: number, detail: string, problems: readonly Problem[]) {
    const more = problems.map(({ field, message }) => (field ? `${field}: ${message}` : message))
    super([detail, ...more].join('. '))
    this.status = status
    this.problems = problems
  }
}

const KEY = 'darkroom-key'

export const apiKey = {
  get: (): string | null => sessionStorage.getItem(KEY),
  set: (key: string): void => sessionStorage.setItem(KEY, key),
  forget: (): void => sessionStorage.removeItem(KEY),
}

function headers(more: Record<string, string> = {}): Record<string, string> {
  const key = apiKey.get()
  return { ...more, ...(key !== null && { authorization: `Bearer ${key}` }) }
}

/** Asks the gateway. Paths, queries, bodies and answers are those of its OpenAPI document. @throws ApiError */
export async function call<P extends keyof Paths, M extends keyof Paths[P] & string>(
  method: M,
  path: P,
  options: {
    readonly params?: Readonly<Record<string, string | number>>
    readonly query?: Of<P, M, 'query'>
    readonly body?: Of<P, M, 'body'>
    readonly signal?: AbortSignal
  } = {},
): Promise<Of<P, M, 'answer'>> {
  const { params = {}, query = {}, body, signal } = options
  const route = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params[name])))
  const search = new URLSearchParams(Object.entries(query as object).map(([name, value]) => [name, String(value)]))
  const response = await fetch(`.${route}${search.size > 0 ? `?${search.toString()}` : ''}`, {
    method: method.toUpperCase(),
    headers: headers(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
  })
  if (!response.ok) throw await errorOf(response)
  return (await response.json()) as Of<P, M, 'answer'>
}

/** A file of the API. @throws ApiError */
export async function blobOf(route: string): Promise<Blob> {
  const response = await fetch(`.${route}`, { headers: headers() })
  if (!response.ok) throw await errorOf(response)
  return response.blob()
}

async function errorOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as { detail?: string; errors?: readonly Problem[] }
  return new ApiError(response.status, problem.detail ?? response.statusText, problem.errors ?? [])
}

export interface Preview {
  readonly item: number
  readonly image: number
  readonly step: number
  readonly steps: number
  readonly picture: string
}

/** What of a batch is told while it runs. */
export interface BatchEvents {
  readonly onProgress: (batch: BatchProgress) => void
  readonly onPreview?: (preview: Preview) => void
}

const RETRY_MS = 1_500

/** Follows a batch until it ends or the signal aborts; a connection that breaks is made again. EventSource cannot send a key. */
export async function follow(id: string, signal: AbortSignal, { onProgress, onPreview }: BatchEvents): Promise<void> {
  let last = ''
  while (!signal.aborted) {
    try {
      const response = await fetch(`./api/v1/batches/${id}/events`, {
        headers: headers(last === '' ? {} : { 'last-event-id': last }),
        signal,
      })
      if (response.status === 204) return
      if (!response.ok || response.body === null) throw await errorOf(response)
      for await (const { event, data, id: eventId } of eventsOf(response.body)) {
        if (eventId !== '') last = eventId
        if (event === 'preview') onPreview?.(JSON.parse(data) as Preview)
        else onProgress(JSON.parse(data) as BatchProgress)
        if (event === 'end') return
      }
    } catch (reason) {
      if (signal.aborted || (reason instanceof ApiError && reason.status < 500)) return
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
}

async function* eventsOf(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<{ event: string; data: string; id: string }> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const fields = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const field = (name: string): string =>
        fields
          .flatMap((line) => (line.startsWith(`${name}:`) ? line.slice(name.length + 1).trimStart() : []))
          .join('\n')
      const data = field('data')
      if (data !== '') yield { event: field('event') || 'message', data, id: field('id') }
    }
  }
}

/** Of a picture: through the gateway, as the page may show nothing of other origins. */
export function pictureUrl(url: string): string {
  return `.${url}${url.includes('?') ? '&' : '?'}proxy=1`
}
