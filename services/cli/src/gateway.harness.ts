import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { BatchJson } from './gateway-client.ts'

export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Answer = (request: ReceivedRequest, response: ServerResponse) => void

/** An HTTP server that notes what it is asked and answers as the test says: what the command sends and how it takes answers. */
export class StandInGateway implements AsyncDisposable {
  readonly requests: ReceivedRequest[] = []
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  answer: Answer

  private constructor(answer: Answer) {
    this.answer = answer
  }

  static async start(answer: Answer): Promise<StandInGateway> {
    const gateway = new StandInGateway(answer)
    await new Promise<void>((resolve) => gateway.#server.listen(0, '127.0.0.1', resolve))
    return gateway
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request).catch(() => null)
    // The command broke off in the middle of it.
    if (body === null) return
    const received = { method: request.method!, url: request.url!, headers: request.headers, body }
    this.requests.push(received)
    this.answer(received, response)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' })
  response.end(JSON.stringify(value))
}

/** A batch as the gateway tells of it. */
export function batchJson(changes: Partial<BatchJson> = {}): BatchJson {
  return {
    id: 'b0123456789abcdefghijkl',
    state: 'completed',
    paused: false,
    priority: 0,
    completeBy: null,
    approval: null,
    pausedItems: null,
    cancelledItems: null,
    atRisk: false,
    createdAt: '2026-11-23T00:00:00.000Z',
    startedAt: '2026-11-23T00:00:01.000Z',
    endedAt: '2026-11-23T00:00:02.000Z',
    itemCount: 2,
    imageCount: 2,
    items: { open: 0, rendered: 2, failed: 0, cancelled: 0 },
    imagesRendered: 2,
    imagesFailed: 0,
    imagesFlagged: 0,
    itemsWarned: 0,
    imagesPerSecond: 2,
    etaSeconds: null,
    schedulers: [{ scheduler: 'PNDMScheduler', images: 2, imageCount: 2, imagesPerSecond: 2, steps: 40, seconds: 4 }],
    ...changes,
  }
}
