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

/** Of a subject; its worker opens it by pulling. */
interface Consumer {
  isOpen: boolean
  /** The highest sequence that it has delivered. */
  delivered: number
  /** Never delivered, in order. */
  readonly fresh: number[]
  /** To be delivered again, in order, before any fresh one. */
  readonly again: number[]
}

interface Pull<T> {
  readonly subject: string
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
  readonly #consumers = new Map<string, Consumer>()
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

  /** Whether a pull would be answered at once. */
  isWaiting(subject: string): boolean {
    const { again, fresh } = this.#consumer(subject)
    return [again, fresh].some((queue) => queue.some((sequence) => this.#messages.has(sequence)))
  }

  publish(subject: string, payload: T): number {
    const sequence = ++this.#lastSequence
    this.#messages.set(sequence, { subject, payload, deliveries: 0 })
    this.#consumer(subject).fresh.push(sequence)
    this.pump()
    return sequence
  }

  /** @returns what breaks it off */
  pull(subject: string, expiresMs: number, give: Pull<T>['give'], fail: () => void): () => void {
    const pull: Pull<T> = { subject, give, fail }
    this.#consumer(subject).isOpen = true
    this.#pulls.push(pull)
    const breakOff = (): void => {
      const place = this.#pulls.indexOf(pull)
      if (place === -1) return
      this.#pulls.splice(place, 1)
      give(null)
    }
    this.#time.after(expiresMs, breakOff)
    this.pump()
    return breakOff
  }

  /**
   * Whoever had it, and however long ago: what lies under that sequence goes, also where that was another message before the
   * stream was lost.
   * @returns whether it is answered: by a consumer that is there and has come so far
   */
  ack(subject: string, sequence: number): boolean {
    const { isOpen, delivered } = this.#consumer(subject)
    if (!isOpen || sequence > delivered) return false
    this.delete(sequence)
    return true
  }

  nak(subject: string, sequence: number, delayMs: number): void {
    if (this.#isPending(subject, sequence)) this.#hold(sequence, delayMs)
  }

  working(subject: string, sequence: number): void {
    if (this.#isPending(subject, sequence)) this.#hold(sequence, this.#ackWaitMs)
  }

  /** @returns whether it was there */
  delete(sequence: number): boolean {
    this.#pending.delete(sequence)
    return this.#messages.delete(sequence)
  }

  purge(): void {
    this.#messages.clear()
    this.#clearQueues()
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
    this.#clearQueues()
    for (const consumer of this.#consumers.values())
      consumer.delivered = Math.min(consumer.delivered, this.#lastSequence)
    this.sync()
    for (const [sequence, { subject, deliveries }] of this.#messages) {
      if (deliveries === 0) this.#consumer(subject).fresh.push(sequence)
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
      const consumer = this.#consumer(pull.subject)
      consumer.delivered = Math.max(consumer.delivered, sequence)
      message.deliveries++
      this.#hold(sequence, this.#ackWaitMs)
      this.#pulls.splice(this.#pulls.indexOf(pull), 1)
      pull.give({ sequence, deliveryCount: message.deliveries, payload: message.payload })
    }
  }

  #consumer(subject: string): Consumer {
    const consumer = this.#consumers.get(subject) ?? { isOpen: false, delivered: 0, fresh: [], again: [] }
    this.#consumers.set(subject, consumer)
    return consumer
  }

  #clearQueues(): void {
    this.#pending.clear()
    for (const { fresh, again } of this.#consumers.values()) fresh.length = again.length = 0
  }

  #isPending(subject: string, sequence: number): boolean {
    return this.#pending.has(sequence) && this.#messages.get(sequence)?.subject === subject
  }

  /** The first of a subject that is still there. */
  #next(subject: string): number | undefined {
    const { again, fresh } = this.#consumer(subject)
    const shift = (): number | undefined => again.shift() ?? fresh.shift()
    let sequence = shift()
    while (sequence !== undefined && !this.#messages.has(sequence)) sequence = shift()
    return sequence
  }

  #hold(sequence: number, forMs: number): void {
    const dueMs = this.#time.nowMs + forMs
    this.#pending.set(sequence, dueMs)
    const redeliver = (): void => {
      // Acknowledged, or held on by another word meanwhile.
      if (this.#pending.get(sequence) !== dueMs) return
      this.#pending.delete(sequence)
      const { subject, deliveries } = this.#messages.get(sequence)!
      if (deliveries === this.maxDeliver) return
      this.#consumer(subject).again.push(sequence)
      this.pump()
    }
    if (forMs === 0) redeliver()
    else this.#time.after(forMs, redeliver)
  }
}
