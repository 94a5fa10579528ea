import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  COMPLETION_CONSUMER,
  COMPLETION_STREAM,
  COMPLETION_SUBJECT,
  poolConsumer,
  SHARD_STREAM,
  SHARD_SUBJECTS,
  ShardAssignmentSchema,
  ShardCompletionSchema,
  shardSubject,
} from '@darkroom/proto'
import type { ShardAssignment, ShardCompletion } from '@darkroom/proto'
import { AckPolicy, connect, DiscardPolicy, Events, nanos, NatsError, RetentionPolicy, StorageType } from 'nats'
import type { ConsumerConfig, JetStreamClient, JetStreamManager, JsMsg, NatsConnection, StreamConfig } from 'nats'
import { setTimeout as delay } from 'node:timers/promises'
import { DarkroomError } from './errors.ts'
import type { Logger } from './log.ts'

export interface NatsConfig {
  /** Comma-separated URLs. */
  readonly servers: string
  /** How the connection calls itself in the server's lists. */
  readonly name: string
}

/** One shard in a worker's hands. */
export interface ShardDelivery {
  readonly assignment: ShardAssignment
  readonly sequence: number
  /** From 1; more means that JetStream delivered it before. */
  readonly deliveryCount: number
  /** Asks for another ack wait. */
  working(): void
  ack(): Promise<void>
  nak(delayMs: number): void
}

/** How long JetStream waits for a worker that says nothing; the coordinator notices much sooner and withdraws the message. */
const ACK_WAIT_MS = 60_000
const REQUEST_TIMEOUT_MS = 5_000
const RETRY_MS = 500
const JETSTREAM_NOT_FOUND = 404
/** JSNoMessageFoundErr: deleting a message that is gone answers with this and the code 500. */
const NO_MESSAGE_FOUND = 10_057

/**
 * The farm's use of NATS, and the only module that knows the client.
 * Two work-queue streams; both may vanish with the server's storage, which `ensureStreams` mends and tells.
 * Works from nats-server 2.9.10 up.
 */
export class FarmNats implements AsyncDisposable {
  readonly connection: NatsConnection
  readonly #jetstream: JetStreamClient
  readonly #manager: JetStreamManager
  readonly #log: Logger

  private constructor(connection: NatsConnection, manager: JetStreamManager, log: Logger) {
    this.connection = connection
    this.#jetstream = connection.jetstream({ timeout: REQUEST_TIMEOUT_MS })
    this.#manager = manager
    this.#log = log
  }

  static async connect(config: NatsConfig, log: Logger): Promise<FarmNats> {
    try {
      const connection = await connect({
        servers: config.servers.split(',').map((server) => server.trim()),
        name: config.name,
        maxReconnectAttempts: -1,
        reconnectTimeWait: RETRY_MS,
        reconnectJitter: RETRY_MS,
        waitOnFirstConnect: false,
        pingInterval: 10_000,
      })
      const manager = await connection.jetstreamManager({ checkAPI: false, timeout: REQUEST_TIMEOUT_MS })
      const nats = new FarmNats(connection, manager, log)
      void nats.#watchStatus()
      return nats
    } catch (reason) {
      throw unavailable(`cannot connect to ${config.servers}`, reason)
    }
  }

  get serverVersion(): string {
    return this.connection.info?.version ?? 'unknown'
  }

  isConnected(): boolean {
    return !this.connection.isClosed() && this.#connected
  }
  #connected = true
  readonly #reconnectListeners: (() => void)[] = []

  onReconnect(listener: () => void): void {
    this.#reconnectListeners.push(listener)
  }

  /**
   * Makes what is missing of the streams and consumers.
   * @returns the names that had to be made; on a running farm any means that the server's storage was lost
   */
  async ensureStreams(pools: readonly string[]): Promise<{ created: readonly string[] }> {
    const created: string[] = []
    const stream = async (config: Partial<StreamConfig> & { name: string }): Promise<void> => {
      if ((await this.#infoOf(() => this.#manager.streams.info(config.name))) !== null) return
      await this.#manager.streams.add({
        retention: RetentionPolicy.Workqueue,
        storage: StorageType.File,
        discard: DiscardPolicy.New,
        duplicate_window: nanos(120_000),
        ...config,
      })
      created.push(config.name)
    }
    const consumer = async (
      streamName: string,
      config: Partial<ConsumerConfig> & { durable_name: string },
    ): Promise<void> => {
      if ((await this.#infoOf(() => this.#manager.consumers.info(streamName, config.durable_name))) !== null) return
      await this.#manager.consumers.add(streamName, {
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ACK_WAIT_MS),
        max_deliver: -1,
        max_ack_pending: 10_000,
        max_waiting: 4_096,
        ...config,
      })
      created.push(`${streamName}/${config.durable_name}`)
    }
    return guard('cannot prepare the streams', async () => {
      await stream({ name: SHARD_STREAM, subjects: [SHARD_SUBJECTS] })
      await stream({ name: COMPLETION_STREAM, subjects: [COMPLETION_SUBJECT] })
      await consumer(COMPLETION_STREAM, { durable_name: COMPLETION_CONSUMER })
      for (const pool of pools) {
        await consumer(SHARD_STREAM, { durable_name: poolConsumer(pool), filter_subject: shardSubject(pool) })
      }
      return { created }
    })
  }

  /** @returns the message's stream sequence, by which it can be withdrawn */
  async dispatchShard(pool: string, assignment: ShardAssignment): Promise<number> {
    const payload = toBinary(ShardAssignmentSchema, assignment)
    return guard(
      'cannot dispatch a shard',
      async () => (await this.#jetstream.publish(shardSubject(pool), payload)).seq,
    )
  }

  /** Deletes a dispatched shard's message; fine if it is gone already. */
  async withdrawShard(sequence: number): Promise<void> {
    await guard('cannot withdraw a shard', () =>
      this.#infoOf(() => this.#manager.streams.deleteMessage(SHARD_STREAM, sequence, false)),
    )
  }

  /** Drops every shard that no worker has taken; those that are being rendered go on, and their commit records count. */
  async purgeShards(): Promise<void> {
    await guard('cannot empty the shard stream', () => this.#manager.streams.purge(SHARD_STREAM))
  }

  /** The next shard of the pool, or null when none came within `expiresMs`. */
  async nextShard(pool: string, options: { expiresMs: number; signal: AbortSignal }): Promise<ShardDelivery | null> {
    return guard('cannot pull a shard', async () => {
      options.signal.throwIfAborted()
      const consumer = await this.#jetstream.consumers.get(SHARD_STREAM, poolConsumer(pool))
      const messages = await consumer.fetch({ max_messages: 1, expires: options.expiresMs })
      const stop = (): void => messages.stop()
      options.signal.addEventListener('abort', stop)
      // It may have come while the request was on its way.
      if (options.signal.aborted) stop()
      try {
        for await (const message of messages) return deliveryOf(message)
        return null
      } finally {
        options.signal.removeEventListener('abort', stop)
      }
    })
  }

  async publishCompletion(completion: ShardCompletion): Promise<void> {
    const payload = toBinary(ShardCompletionSchema, completion)
    await guard('cannot publish a completion', () => this.#jetstream.publish(COMPLETION_SUBJECT, payload))
  }

  /** Hands over completions until the signal; acknowledges each once `handle` has resolved. Outlives the loss of the stream. */
  async consumeCompletions(handle: (completion: ShardCompletion) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const consumer = await this.#jetstream.consumers.get(COMPLETION_STREAM, COMPLETION_CONSUMER)
        const messages = await consumer.fetch({ max_messages: 256, expires: 1_000 })
        const stop = (): void => messages.stop()
        signal.addEventListener('abort', stop)
        if (signal.aborted) stop()
        for await (const message of messages) {
          await handle(fromBinary(ShardCompletionSchema, message.data))
          message.ack()
        }
        signal.removeEventListener('abort', stop)
      } catch (err) {
        if (signal.aborted) return
        this.#log.debug({ err }, 'completions cannot be read at the moment')
        await delay(RETRY_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  async shardBacklog(pool: string): Promise<{ pending: number; ackPending: number }> {
    return guard('cannot read the backlog', async () => {
      const info = await this.#manager.consumers.info(SHARD_STREAM, poolConsumer(pool))
      return { pending: info.num_pending, ackPending: info.num_ack_pending }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#connected ? this.connection.drain() : this.connection.close()
    await closed.catch((err: unknown) => this.#log.debug({ err }, 'nats did not close cleanly'))
  }

  async #watchStatus(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === Events.Disconnect) {
        this.#connected = false
        this.#log.warn('nats disconnected')
      }
      if (type === Events.Reconnect) {
        this.#connected = true
        this.#log.info('nats reconnected')
        for (const listener of this.#reconnectListeners) listener()
      }
    }
  }

  /** Null where the server says that there is no such thing. */
  async #infoOf<T>(ask: () => Promise<T>): Promise<T | null> {
    try {
      return await ask()
    } catch (reason) {
      const error = reason instanceof NatsError ? reason.api_error : undefined
      if (error?.code === JETSTREAM_NOT_FOUND || error?.err_code === NO_MESSAGE_FOUND) return null
      throw reason
    }
  }
}

function deliveryOf(message: JsMsg): ShardDelivery {
  return {
    assignment: create(ShardAssignmentSchema, fromBinary(ShardAssignmentSchema, message.data)),
    sequence: message.seq,
    deliveryCount: message.info.redeliveryCount,
    working: () => message.working(),
    ack: async () => {
      await guard('cannot acknowledge a shard', () => message.ackAck())
    },
    nak: (delayMs) => message.nak(delayMs),
  }
}

async function guard<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (reason) {
    if (reason instanceof DarkroomError) throw reason
    throw unavailable(what, reason)
  }
}

function unavailable(what: string, cause: unknown): DarkroomError {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new DarkroomError('NATS_UNAVAILABLE', `${what}: ${detail}`, { cause })
}
