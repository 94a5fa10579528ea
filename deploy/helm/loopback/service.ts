import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** A Service in front of pods: each connection goes to the next of those that are its endpoints, and stays there. */
export class Service implements AsyncDisposable {
  readonly #podPort: number
  readonly #server = createServer((client) => this.#accept(client))
  readonly #sockets = new Set<Socket>()
  #endpoints: readonly string[] = []
  #next = 0

  private constructor(podPort: number) {
    this.#podPort = podPort
  }

  static async start(podPort: number): Promise<Service> {
    const service = new Service(podPort)
    service.#server.listen(0, '127.0.0.1')
    await once(service.#server, 'listening')
    return service
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  add(ip: string): void {
    this.#endpoints = [...this.#endpoints, ip]
  }

  /** Connections that are there stay. */
  remove(ip: string): void {
    this.#endpoints = this.#endpoints.filter((one) => one !== ip)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    const ip = this.#endpoints[this.#next++ % Math.max(this.#endpoints.length, 1)]
    if (ip === undefined) return void client.resetAndDestroy()
    const pod = connect(this.#podPort, ip)
    for (const [from, to] of [
      [client, pod],
      [pod, client],
    ] as const) {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.pipe(to)
      from.on('error', () => to.resetAndDestroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
    }
  }
}
