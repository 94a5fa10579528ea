import type { VirtualTime } from './virtual-time.ts'

/** A process of the farm: whatever it waits for comes only while it lives, and late while it is frozen. */
export class VirtualProcess {
  readonly time: VirtualTime
  readonly name: string
  #isAlive = true
  readonly #connections: (() => void)[] = []
  #frozenUntilMs = 0
  #death: { calls: number; readonly isAnswered: boolean } | null = null

  constructor(time: VirtualTime, name: string) {
    this.time = time
    this.name = name
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** kill -9: whoever is connected to it sees the connection break. */
  kill(): void {
    this.#isAlive = false
    for (const breaks of this.#connections) breaks()
  }

  /** @param breaks told when this process dies */
  connected(breaks: () => void): void {
    this.#connections.push(breaks)
  }

  /** Dies at one of its next calls: before it is sent, or when it was carried out and nobody is left to hear the answer. */
  dieAtCall(calls: number, when: 'before' | 'after'): void {
    this.#death = { calls, isAnswered: when === 'after' }
  }

  /** kill -STOP, and -CONT after so long. */
  freeze(forMs: number): void {
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, this.time.nowMs + forMs)
  }

  after(delayMs: number, action: () => void): void {
    this.time.after(delayMs, () => this.#whenThawed(action))
  }

  delay(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** A request to a server: carried out half its latency from now, answered after the other half. */
  call<T>(latencyMs: number, serve: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const isLast = this.#death !== null && this.#death.calls-- === 0
      const diesAfter = isLast && this.#death!.isAnswered
      if (isLast && !diesAfter) this.kill()
      if (!this.#isAlive) return
      this.time.after(latencyMs / 2, () => {
        let answer: () => void
        try {
          const value = serve()
          answer = () => resolve(value)
        } catch (reason) {
          answer = () => reject(reason)
        }
        if (diesAfter) this.kill()
        this.after(latencyMs / 2, answer)
      })
    })
  }

  #whenThawed(action: () => void): void {
    if (!this.#isAlive) return
    if (this.time.nowMs < this.#frozenUntilMs)
      this.time.after(this.#frozenUntilMs - this.time.nowMs, () => this.#whenThawed(action))
    else action()
  }
}
