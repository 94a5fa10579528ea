import type { ProcessKind } from '@darkroom/local'
import { TcpProxy } from './tcp-proxy.ts'

/** A proxy between every kind of process and each that it reaches. */
export class Links implements AsyncDisposable {
  readonly #proxies = new Map<string, Promise<TcpProxy>>()
  readonly #kinds = new Map<string, string[]>()

  /** @returns the port to reach it through */
  async between(from: ProcessKind, to: string, port: number): Promise<number> {
    const key = `${from} ${to} ${port}`
    let proxy = this.#proxies.get(key)
    if (proxy === undefined) {
      proxy = TcpProxy.start(port)
      this.#proxies.set(key, proxy)
      const name = `${from}-${to}`
      this.#kinds.set(name, [...(this.#kinds.get(name) ?? []), key])
    }
    return (await proxy).port
  }

  /** 'worker-nats', 'coordinator-s3', … */
  get names(): readonly string[] {
    return [...this.#kinds.keys()]
  }

  async become(name: string, state: Parameters<TcpProxy['become']>[0]): Promise<void> {
    for (const key of this.#kinds.get(name) ?? []) (await this.#proxies.get(key)!).become(state)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.#proxies.values()) await (await proxy)[Symbol.asyncDispose]()
  }
}
