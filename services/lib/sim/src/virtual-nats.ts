import { DarkroomError } from '@darkroom/chassis'
import type { FarmNats, ShardDelivery } from '@darkroom/chassis'
import { shardSubject } from '@darkroom/proto'
import type { ShardAssignment, ShardCompletion, ShardQueue } from '@darkroom/proto'
import type { Random } from './random.ts'
import { VirtualQueue } from './virtual-jetstream.ts'
import type { Delivery } from './virtual-jetstream.ts'
import type { VirtualProcess } from './virtual-process.ts'
import type { VirtualTime } from './virtual-time.ts'

const LATENCY_MS = 2
/** What a request waits for a server that is away. */
const GIVE_UP_MS = 5_000
const RETRY_MS = 500
const PULL_MS = 1_000
const PULL_COMPLETIONS = 256
const COMPLETIONS = 'completions'

/** The nats-server: two streams and the lease, all of which may vanish. */
export class VirtualNatsServer {
  isUp = true
  /** Publications that are stored, and whose publisher is told of a failure. */
  lostAnswerRate = 0
  shards: VirtualQueue<ShardAssignment> | null = null
  completions: VirtualQueue<ShardCompletion> | null = null
  /** The leader's key: who, and until when. */
  lease: { readonly holder: string; readonly untilMs: number } | null = null
  readonly #time: VirtualTime

  constructor(time: VirtualTime) {
    this.#time = time
  }

  ensureStreams(): string[] {
    const created: string[] = []
    if (this.shards === null) created.push('shards')
    this.shards ??= new VirtualQueue(this.#time)
    if (this.completions === null) created.push('completions')
    this.completions ??= new VirtualQueue(this.#time)
    return created
  }

  /** Away for a while; what comes back is all, what was synced last, or nothing. */
  goDown(forMs: number, storage: 'kept' | 'synced' | 'lost'): void {
    this.isUp = false
    for (const queue of [this.shards, this.completions]) queue?.disconnect()
    this.#time.after(forMs, () => {
      this.isUp = true
      if (storage !== 'lost') {
        for (const queue of [this.shards, this.completions]) queue?.restart(storage)
        return
      }
      this.shards = null
      this.completions = null
      this.lease = null
    })
  }
}

type Calls = Omit<FarmNats, 'connection' | 'shardBacklog'>

/** One process's client, with the answers and errors of chassis' FarmNats. */
export class VirtualNats implements Calls {
  readonly #server: VirtualNatsServer
  readonly #process: VirtualProcess
  readonly #random: Random

  constructor(server: VirtualNatsServer, process: VirtualProcess, random: Random) {
    this.#server = server
    this.#process = process
    this.#random = random
  }

  /** As what the coordinator takes: it calls nothing beyond `Calls`. */
  asFarmNats(): FarmNats {
    return this as unknown as FarmNats
  }

  isConnected(): boolean {
    return this.#server.isUp
  }

  async ensureStreams(): Promise<{ created: readonly string[] }> {
    return { created: await this.#request(() => this.#server.ensureStreams()) }
  }

  dispatchShard(workerId: string, assignment: ShardAssignment): Promise<number> {
    return this.#publish(() =>
      this.#shards().publish(shardSubject(workerId, assignment.isInteractive ? 'now' : 'batch'), assignment),
    )
  }

  async withdrawShard(sequence: number): Promise<void> {
    await this.#request(() => this.#server.shards?.delete(sequence))
  }

  async purgeShards(): Promise<void> {
    await this.#request(() => this.#shards().purge())
  }

  async nextShard(
    workerId: string,
    options: { queue?: ShardQueue; expiresMs: number; signal: AbortSignal },
  ): Promise<ShardDelivery | null> {
    if (options.signal.aborted) return null
    const subject = shardSubject(workerId, options.queue)
    const delivery = await this.#pull(() => this.#shards(), subject, options.expiresMs, options.signal)
    if (delivery === null) return null
    const { sequence, deliveryCount, payload } = delivery
    // As the client has it: the first answer counts, also one that does not arrive, and no later one is sent.
    let isAnswered = false
    const tell = (what: (queue: VirtualQueue<ShardAssignment>) => void): void => {
      if (isAnswered) return
      void this.#process.call(LATENCY_MS, () => {
        if (this.#server.isUp && this.#server.shards !== null) what(this.#server.shards)
      })
    }
    return {
      assignment: payload,
      sequence,
      deliveryCount,
      working: () => tell((queue) => queue.working(subject, sequence)),
      ack: async () => {
        if (isAnswered) return
        isAnswered = true
        await this.#request(() => {
          if (!this.#shards().ack(subject, sequence)) throw away('nobody answers to an ack')
        })
      },
      nak: (delayMs) => {
        tell((queue) => queue.nak(subject, sequence, delayMs))
        isAnswered = true
      },
    }
  }

  async publishCompletion(completion: ShardCompletion): Promise<void> {
    await this.#publish(() => this.#completions().publish(COMPLETIONS, completion))
  }

  async consumeCompletions(handle: (completion: ShardCompletion) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        // The first is waited for, the others that are there come with it.
        let next = await this.#pull(() => this.#completions(), COMPLETIONS, PULL_MS)
        for (let taken = 1; next !== null; taken++) {
          await this.#complete(next, handle, signal)
          if (taken === PULL_COMPLETIONS || this.#server.completions?.isWaiting(COMPLETIONS) !== true) break
          next = await this.#pull(() => this.#completions(), COMPLETIONS, PULL_MS)
        }
      } catch {
        await this.#process.delay(RETRY_MS)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Takes or renews the lease. @returns whether it is this holder's now */
  holdLease(holder: string, ttlMs: number): Promise<boolean> {
    return this.#request(() => {
      const { lease } = this.#server
      const nowMs = this.#process.time.nowMs
      if (lease !== null && lease.holder !== holder && nowMs < lease.untilMs) return false
      this.#server.lease = { holder, untilMs: nowMs + ttlMs }
      return true
    })
  }

  async #complete(
    { sequence, payload }: Delivery<ShardCompletion>,
    handle: (completion: ShardCompletion) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    let answer = (queue: VirtualQueue<ShardCompletion>): void => queue.nak(COMPLETIONS, sequence, PULL_MS)
    if (!signal.aborted) {
      await handle(payload).then(
        () => (answer = (queue) => void queue.ack(COMPLETIONS, sequence)),
        () => {},
      )
    }
    void this.#process.call(LATENCY_MS, () => {
      if (this.#server.isUp && this.#server.completions !== null) answer(this.#server.completions)
    })
  }

  #shards(): VirtualQueue<ShardAssignment> {
    if (this.#server.shards === null) throw away('there is no stream of shards')
    return this.#server.shards
  }

  #completions(): VirtualQueue<ShardCompletion> {
    if (this.#server.completions === null) throw away('there is no stream of completions')
    return this.#server.completions
  }

  async #pull<T>(
    queue: () => VirtualQueue<T>,
    subject: string,
    expiresMs: number,
    signal?: AbortSignal,
  ): Promise<Delivery<T> | null> {
    const { promise, resolve, reject } = Promise.withResolvers<Delivery<T> | null>()
    // It may break before the pull itself is answered.
    promise.catch(() => {})
    const breakOff = await this.#request(() =>
      queue().pull(
        subject,
        expiresMs,
        (delivery) => this.#process.after(LATENCY_MS / 2, () => resolve(delivery)),
        () => this.#process.after(LATENCY_MS / 2, () => reject(away('the connection broke'))),
      ),
    )
    const stop = (): void => {
      // What is on its way to nobody comes again after the ack wait.
      resolve(null)
      void this.#process.call(LATENCY_MS, breakOff)
    }
    signal?.addEventListener('abort', stop)
    if (signal?.aborted === true) stop()
    return promise.finally(() => signal?.removeEventListener('abort', stop))
  }

  async #publish<T>(serve: () => T): Promise<T> {
    const isLost = this.#random.chance(this.#server.lostAnswerRate)
    const answer = await this.#request(serve)
    if (!isLost) return answer
    await this.#process.delay(GIVE_UP_MS)
    throw away('the answer was lost')
  }

  #request<T>(serve: () => T): Promise<T> {
    return this.#process.call(this.#server.isUp ? LATENCY_MS : GIVE_UP_MS, () => {
      if (!this.#server.isUp) throw away('the server is away')
      return serve()
    })
  }
}

function away(why: string): DarkroomError {
  return new DarkroomError('NATS_UNAVAILABLE', why)
}
