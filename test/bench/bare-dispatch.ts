import { toBinary } from '@bufbuild/protobuf'
import { createLogger, FarmNats } from '@darkroom/chassis'
import {
  COMPLETION_CONSUMER,
  COMPLETION_STREAM,
  COMPLETION_SUBJECT,
  SHARD_STREAM,
  ShardAssignmentSchema,
  ShardCompletionSchema,
  shardSubject,
} from '@darkroom/proto'
import type { ShardAssignment, ShardCompletion } from '@darkroom/proto'
import { openWorkerConsumer } from '../../services/lib/chassis/src/nats-streams.ts'

type Consumed = AsyncIterable<{ ack(): void }> & { close(): Promise<unknown> }

/**
 * Publish, consume, reply, ack with nats.js alone, on streams and consumers like the farm's: each worker's messages by one long
 * consumption, every acknowledgement told in passing, nothing encoded or looked at.
 */
export class BareDispatch implements AsyncDisposable {
  readonly #workers: readonly string[]
  readonly #parts = new AsyncDisposableStack()
  #publisher!: FarmNats
  #replied = (): void => {}

  private constructor(workers: number) {
    this.#workers = Array.from({ length: workers }, (_, n) => `w${n}`)
  }

  static async start(natsUrl: string, workers: number, reply: ShardCompletion): Promise<BareDispatch> {
    const bare = new BareDispatch(workers)
    const payload = toBinary(ShardCompletionSchema, reply)
    bare.#publisher = await bare.#connect(natsUrl)
    await bare.#publisher.ensureStreams()
    for (const id of bare.#workers) {
      const { connection } = await bare.#connect(natsUrl)
      const jetstream = connection.jetstream()
      const name = await openWorkerConsumer(await connection.jetstreamManager(), id, 'batch')
      const messages = await (await jetstream.consumers.get(SHARD_STREAM, name)).consume()
      bare.#consume(messages, () => jetstream.publish(COMPLETION_SUBJECT, payload))
    }
    const jetstream = bare.#publisher.connection.jetstream()
    const consumer = await jetstream.consumers.get(COMPLETION_STREAM, COMPLETION_CONSUMER)
    bare.#consume(await consumer.consume(), async () => bare.#replied())
    return bare
  }

  /** @returns when so many messages of one payload were replied to, at most `window` a worker under way */
  async run(messages: number, assignment: ShardAssignment, window: number): Promise<void> {
    const payload = toBinary(ShardAssignmentSchema, assignment)
    const jetstream = this.#publisher.connection.jetstream()
    let [sent, replies] = [0, 0]
    const ended = Promise.withResolvers<void>()
    const send = (): void => {
      if (sent === messages) return
      const worker = this.#workers[sent++ % this.#workers.length]!
      jetstream.publish(shardSubject(worker), payload).catch(ended.reject)
    }
    this.#replied = () => {
      if (++replies === messages) ended.resolve()
      send()
    }
    for (let n = 0; n < window * this.#workers.length; n++) send()
    await ended.promise
  }

  async #connect(servers: string): Promise<FarmNats> {
    return this.#parts.use(await FarmNats.connect({ servers, name: 'bare' }, createLogger('bench', 'silent')))
  }

  #consume(messages: Consumed, handle: () => Promise<unknown>): void {
    const done = (async () => {
      for await (const message of messages) {
        await handle()
        message.ack()
      }
    })()
    this.#parts.defer(async () => {
      await messages.close()
      await done
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}
