import { fromBinary, toBinary } from '@bufbuild/protobuf'
import type { DescMessage, MessageShape } from '@bufbuild/protobuf'
import {
  COMPLETION_CONSUMER,
  COMPLETION_STREAM,
  COMPLETION_SUBJECT,
  SHARD_STREAM,
  ShardAssignmentSchema,
  ShardCompletionSchema,
  inboxPrefix,
  shardSubject,
  workerConsumer,
} from '@darkroom/proto'
import type { ShardAssignment, ShardCompletion, ShardQueue } from '@darkroom/proto'
import { connect, Events } from 'nats'
import type { JetStreamClient, JetStreamManager, JsMsg, NatsConnection } from 'nats'
import { setTimeout as delay } from 'node:timers/promises'
import type { Secret } from './config.ts'
import { DarkroomError } from './errors.ts'
import type { Logger } from './log.ts'
import { remedyOf, tlsOptions } from './nats-security.ts'
import { createMissing, nullIfMissing, openWorkerConsumer } from './nats-streams.ts'
import type { TlsFiles } from './tls/tls-files.ts'

export interface NatsConfig {
  /** Comma-separated URLs. */
  readonly servers: string
  /** How the connection calls itself in the server's lists; answers come to the inbox of that name alone. */
  readonly name: string
  /** Servers of a cluster that keep each stream that this connection makes; 1 where it is not said. */
  readonly replicas?: number
  readonly login?: { readonly user: string; readonly password: Secret } | null
  /** Used where a server's URL is tls://. */
  readonly tls?: TlsFiles | null
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

const REQUEST_TIMEOUT_MS = 5_000
const RETRY_MS = 500
/** How long one pull of completions lasts, and after how long one that could not be handled comes again. */
const PULL_MS = 1_000

/**
 * The farm's use of NATS, and the only module that knows the client.
 * Two work-queue streams; both may vanish with the server's storage, which `ensureStreams` mends and tells.
 * Works from nats-server 2.9.10 up.
 */
export class FarmNats implements AsyncDisposable {
  readonly connection: NatsConnection
  readonly #jetstream: JetStreamClient
  readonly #manager: JetStreamManager
  readonly #replicas: number
  readonly #log: Logger
  #connected = true

  private constructor(connection: NatsConnection, manager: JetStreamManager, replicas: number, log: Logger) {
    this.connection = connection
    this.#replicas = replicas
    this.#jetstream = connection.jetstream({ timeout: REQUEST_TIMEOUT_MS })
    this.#manager = manager
    this.#log = log
    void this.#watchStatus()
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
        timeout: REQUEST_TIMEOUT_MS,
        pingInterval: 10_000,
        inboxPrefix: inboxPrefix(config.name),
        // A password that is changed at the server first must not end a service that has the new one a moment later.
        ignoreAuthErrorAbort: true,
        ...(config.login && { user: config.login.user, pass: config.login.password.reveal() }),
        ...tlsOptions(config),
      })
      const manager = await connection.jetstreamManager({ checkAPI: false, timeout: REQUEST_TIMEOUT_MS })
      log.info({ server: connection.getServer(), version: connection.info?.version }, 'nats connected')
      return new FarmNats(connection, manager, config.replicas ?? 1, log)
    } catch (reason) {
      throw unavailable(`cannot connect to ${config.servers}`, reason, remedyOf(reason, config))
    }
  }

  isConnected(): boolean {
    return !this.connection.isClosed() && this.#connected
  }

  /**
   * Makes what is missing of the streams.
   * @returns the names that had to be made; on a running farm any means that the server's storage was lost
   */
  async ensureStreams(): Promise<{ created: readonly string[] }> {
    return guard('cannot prepare the streams', async () => ({
      created: await createMissing(this.#manager, this.#replicas),
    }))
  }

  /**
   * Puts a shard into a worker's queue of its kind, which need not be there yet.
   * @returns the message's stream sequence, by which it can be withdrawn
   * @throws DarkroomError PAYLOAD_TOO_LARGE for what the server would refuse, now and ever
   */
  async dispatchShard(workerId: string, assignment: ShardAssignment): Promise<number> {
    const payload = toBinary(ShardAssignmentSchema, assignment)
    const maxBytes = this.connection.info?.max_payload ?? Infinity
    if (payload.length > maxBytes) {
      throw new DarkroomError(
        'PAYLOAD_TOO_LARGE',
        `shard ${assignment.shardId} is ${payload.length} bytes long; the nats-server takes ${maxBytes} (max_payload)`,
      )
    }
    return guard(
      'cannot dispatch a shard',
      async () =>
        (await this.#jetstream.publish(shardSubject(workerId, assignment.isInteractive ? 'now' : 'batch'), payload))
          .seq,
    )
  }

  /** Deletes a dispatched shard's message; fine if it is gone already. */
  async withdrawShard(sequence: number): Promise<void> {
    await guard('cannot withdraw a shard', () =>
      nullIfMissing(() => this.#manager.streams.deleteMessage(SHARD_STREAM, sequence, false)),
    )
  }

  /** Drops every shard that no worker has taken; those that are being rendered go on, and their commit records count. */
  async purgeShards(): Promise<void> {
    await guard('cannot empty the shard stream', () => this.#manager.streams.purge(SHARD_STREAM))
  }

  /** The worker's next shard of a queue, usually of batches; null when none came within `expiresMs`, or at once when the signal aborts. */
  async nextShard(
    workerId: string,
    options: { queue?: ShardQueue; expiresMs: number; signal: AbortSignal },
  ): Promise<ShardDelivery | null> {
    if (options.signal.aborted) return null
    return guard('cannot pull a shard', async () => {
      const name = await openWorkerConsumer(this.#manager, workerId, options.queue ?? 'batch')
      const consumer = await this.#jetstream.consumers.get(SHARD_STREAM, name)
      const messages = await consumer.fetch({ max_messages: 1, expires: options.expiresMs })
      const stop = (): void => messages.stop()
      options.signal.addEventListener('abort', stop)
      // It may have come while the request was on its way.
      if (options.signal.aborted) stop()
      try {
        for await (const message of messages) {
          // Nobody waits for it any more; should this worker come back, it has it at once rather than after the ack wait.
          if (options.signal.aborted) message.nak()
          else return this.#deliveryOf(message)
        }
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

  /**
   * Hands over completions, one after the other, until the signal; acknowledges each once `handle` has resolved. One that it
   * rejects comes again. Outlives the loss of the stream.
   */
  async consumeCompletions(handle: (completion: ShardCompletion) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const consumer = await this.#jetstream.consumers.get(COMPLETION_STREAM, COMPLETION_CONSUMER)
        // A pull runs its time out also after the signal: to break it off would lose what is on its way for the ack wait.
        for await (const message of await consumer.fetch({ max_messages: 256, expires: PULL_MS })) {
          // The next leader gets what this one has not begun.
          if (signal.aborted) message.nak(PULL_MS)
          else await this.#complete(message, handle)
        }
      } catch (err) {
        if (signal.aborted) return
        this.#log.debug({ err }, 'completions cannot be read at the moment')
        await delay(RETRY_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  async #complete(message: JsMsg, handle: (completion: ShardCompletion) => Promise<void>): Promise<void> {
    const completion = this.#decode(ShardCompletionSchema, message)
    if (completion === null) return
    try {
      await handle(completion)
    } catch (err) {
      this.#log.warn({ err, shardId: completion.shardId }, 'a completion could not be handled and comes again')
      message.nak(PULL_MS)
      return
    }
    message.ack()
  }

  async shardBacklog(workerId: string): Promise<{ pending: number; ackPending: number }> {
    return guard('cannot read the backlog', async () => {
      const info = await this.#manager.consumers.info(SHARD_STREAM, workerConsumer(workerId))
      return { pending: info.num_pending, ackPending: info.num_ack_pending }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#connected ? this.connection.drain() : this.connection.close()
    await closed.catch((err: unknown) => this.#log.debug({ err }, 'nats did not close cleanly'))
  }

  async #watchStatus(): Promise<void> {
    for await (const { type, data } of this.connection.status()) {
      if (type === Events.Disconnect) {
        this.#connected = false
        this.#log.warn('nats disconnected')
      }
      if (type === Events.Error) this.#log.error({ problem: data }, 'nats refused something')
      if (type === Events.Reconnect) {
        this.#connected = true
        this.#log.info('nats reconnected')
      }
    }
  }

  #deliveryOf(message: JsMsg): ShardDelivery | null {
    const assignment = this.#decode(ShardAssignmentSchema, message)
    if (assignment === null) return null
    // Told in passing: where the connection is gone, the message comes again by itself.
    const tell = (what: () => void): void => {
      try {
        what()
      } catch (err) {
        this.#log.debug({ err }, 'a shard cannot be answered for')
      }
    }
    return {
      assignment,
      sequence: message.seq,
      deliveryCount: message.info.deliveryCount,
      working: () => tell(() => message.working()),
      ack: async () => {
        await guard('cannot acknowledge a shard', () => message.ackAck())
      },
      nak: (delayMs) => tell(() => message.nak(delayMs)),
    }
  }

  /** Null for bytes that are no such message, which are never delivered again. */
  #decode<S extends DescMessage>(schema: S, message: JsMsg): MessageShape<S> | null {
    try {
      return fromBinary(schema, message.data)
    } catch (err) {
      this.#log.error({ err, subject: message.subject, sequence: message.seq }, 'dropped a message that cannot be read')
      message.term()
      return null
    }
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

function unavailable(what: string, cause: unknown, remedy = ''): DarkroomError {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new DarkroomError('NATS_UNAVAILABLE', `${what}: ${detail}${remedy}`, { cause })
}
