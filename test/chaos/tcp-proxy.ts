import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * What a connection is like: `slow` takes its time for each piece, `cut` resets what is there and what comes, `silent` takes
 * everything and passes nothing on (half-open), `unavailable` answers HTTP requests with 503.
 */
export type LinkState = 'open' | 'slow' | 'cut' | 'silent' | 'unavailable'

const SLOW_MS = 150
const UNAVAILABLE = 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'

/** Stands between two processes on loopback, and lets through what it is told to. */
export class TcpProxy implements AsyncDisposable {
  readonly #targetPort: number
  readonly #server = createServer((client) => this.#accept(client))
  readonly #sockets = new Set<Socket>()
  #state: LinkState = 'open'

  private constructor(targetPort: number) {
    this.#targetPort = targetPort
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** From now on. What was silent has lost bytes, and is reset when that is over. */
  become(state: LinkState): void {
    const wasSilent = this.#state === 'silent'
    this.#state = state
    if (wasSilent || state === 'cut' || state === 'unavailable')
      for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.#keep(client)
    if (this.#state === 'cut') return void client.resetAndDestroy()
    if (this.#state === 'unavailable') return void client.once('data', () => client.end(UNAVAILABLE))
    if (this.#state === 'silent') return void client.resume()
    const upstream = connect(this.#targetPort, '127.0.0.1')
    this.#keep(upstream)
    this.#forward(client, upstream)
    this.#forward(upstream, client)
  }

  #forward(from: Socket, to: Socket): void {
    let before = Promise.resolve()
    from.on('data', (piece) => {
      if (this.#state === 'silent') return
      // In order, whatever the state becomes meanwhile.
      before = before.then(async () => {
        if (this.#state === 'slow') await delay(SLOW_MS)
        if (!to.destroyed) to.write(piece)
      })
    })
    from.on('end', () => void before.then(() => to.end()))
    from.on('close', () => void before.then(() => to.destroy()))
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
