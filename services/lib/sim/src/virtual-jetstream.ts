import type { VirtualTime } from './virtual-time.ts'

export interface Delivery<T> {
  readonly sequence: number
  /** From 1. */
  readonly deliveryCount: number
  readonly payload: T
}

interface Message<T> {
  readonly subject: string
  readonly payload: T
  deliveries: number
}

interface Pull<T> {
  readonly subject: string
  readonly expiresAtMs: number
  /** Null at its expiry. */
  readonly give: (delivery: Delivery<T> | null) => void
  readonly fail: () => void
}

const ACK_WAIT_MS = 60_000

/**
 * A work-queue stream with a durable pull consumer for each subject and explicit acks, as far as the farm relies on it: at least once,
 * redelivered after the ack wait, a late ack accepted, deleted by an ack, messages past their deliveries left where they are.
 */
export class VirtualQueue<T> {
  /** Delivers nothing meanwhile. */
  isStalled = false
  /** Deliveries of a message, -1 for any number. */
  maxDeliver = -1
  readonly #time: VirtualTime
  readonly #ackWaitMs: number
  #lastSequence = 0
  #messages = new Map<number, Message<T>>()
  /** Never delivered, or to be delivered again, in order, by subject. */
  readonly #ready = new Map<string, number[]>()
  /** With a worker: when each is due again. */
  #pending = new Map<number, number>()
  #pulls: Pull<T>[] = []
  #synced: { messages: ReadonlyMap<number, Message<T>>; lastSequence: number } = {
    messages: new Map(),
    lastSequence: 0,
  }

  constructor(time: VirtualTime, ackWaitMs = ACK_WAIT_MS) {
    this.#time = time
    this.#ackWaitMs = ackWaitMs
  }

  get backlog(): { pending: number; ackPending: number } {
    return { pending: this.#messages.size - this.#pending.size, ackPending: this.#pending.size }
  }

  publish(subject: string, payload: T): number {
    const sequence = ++this.#lastSequence
    this.#messages.set(sequence, { subject, payload, deliveries: 0 })
    this.#queue(subject, sequence)
    this.pump()
    return sequence
  }

  pull(subject: string, expiresMs: number, give: Pull<T>['give'], fail: () => void): void {
    const pull: Pull<T> = { subject, expiresAtMs: this.#time.nowMs + expiresMs, give, fail }
    this.#pulls.push(pull)
    this.#time.after(expiresMs, () => {
      const place = this.#pulls.indexOf(pull)
      if (place === -1) return
      this.#pulls.splice(place, 1)
      give(null)
    })
    this.pump()
  }

  /** Whoever had it, and however long ago. */
  ack(sequence: number): void {
    this.delete(sequence)
  }

  nak(sequence: number, delayMs: number): void {
    if (!this.#pending.has(sequence)) return
    this.#hold(sequence, delayMs)
  }

  working(sequence: number): void {
    if (this.#pending.has(sequence)) this.#hold(sequence, this.#ackWaitMs)
  }

  /** @returns whether it was there */
  delete(sequence: number): boolean {
    this.#pending.delete(sequence)
    return this.#messages.delete(sequence)
  }

  purge(): void {
    this.#messages.clear()
    this.#pending.clear()
    this.#ready.clear()
  }

  /** What a power failure will leave. */
  sync(): void {
    this.#synced = {
      messages: new Map(this.#messages.entries().map(([sequence, message]) => [sequence, { ...message }])),
      lastSequence: this.#lastSequence,
    }
  }

  /** The server starts again: with its last sync alone, who waits is cut off, and what was with a worker is due after the ack wait. */
  restart(storage: 'kept' | 'synced'): void {
    this.disconnect()
    if (storage === 'kept') return
    this.#messages = new Map(this.#synced.messages)
    this.#lastSequence = this.#synced.lastSequence
    this.#pending.clear()
    this.#ready.clear()
    this.sync()
    for (const [sequence, { subject, deliveries }] of this.#messages) {
      if (deliveries === 0) this.#queue(subject, sequence)
      else this.#hold(sequence, this.#ackWaitMs)
    }
  }

  disconnect(): void {
    const cut = this.#pulls
    this.#pulls = []
    for (const { fail } of cut) fail()
  }

  pump(): void {
    if (this.isStalled) return
    for (const pull of this.#pulls.slice()) {
      const sequence = this.#next(pull.subject)
      if (sequence === undefined) continue
      const message = this.#messages.get(sequence)!
      message.deliveries++
      this.#hold(sequence, this.#ackWaitMs)
      this.#pulls.splice(this.#pulls.indexOf(pull), 1)
      pull.give({ sequence, deliveryCount: message.deliveries, payload: message.payload })
    }
  }

  #queue(subject: string, sequence: number): void {
    const ready = this.#ready.get(subject) ?? []
    ready.push(sequence)
    this.#ready.set(subject, ready)
  }

  /** The first of a subject that is still there. */
  #next(subject: string): number | undefined {
    const ready = this.#ready.get(subject) ?? []
    let sequence = ready.shift()
    while (sequence !== undefined && !this.#messages.has(sequence)) sequence = ready.shift()
    return sequence
  }

  #hold(sequence: number, forMs: number): void {
    const dueMs = this.#time.nowMs + forMs
    this.#pending.set(sequence, dueMs)
    this.#time.after(forMs, () => {
      // Acknowledged, or held on by another word meanwhile.
      if (this.#pending.get(sequence) !== dueMs) return
      this.#pending.delete(sequence)
      const { subject, deliveries } = this.#messages.get(sequence)!
      if (deliveries === this.maxDeliver) return
      this.#queue(subject, sequence)
      this.pump()
    })
  }
}
