import {
  COMPLETION_CONSUMER,
  COMPLETION_STREAM,
  COMPLETION_SUBJECT,
  SHARD_STREAM,
  SHARD_SUBJECTS,
  shardSubject,
  workerConsumer,
} from '@darkroom/proto'
import type { ShardQueue } from '@darkroom/proto'
import { AckPolicy, DiscardPolicy, nanos, NatsError, RetentionPolicy, StorageType } from 'nats'
import type { JetStreamManager } from 'nats'

/** How long JetStream waits for a worker that says nothing; the coordinator notices much sooner and withdraws the message. */
const ACK_WAIT_MS = 60_000
/** A worker's consumer that nobody pulls from for so long goes; a slow worker makes it again. */
const INACTIVE_MS = 3_600_000
const DUPLICATE_WINDOW_MS = 120_000
const NOT_FOUND = 404
/** How deleting a message that is gone is answered, by where it was: JSSequenceNotFoundErrF or JSStreamMsgDeleteFailedF. */
const MESSAGE_GONE = [10_043, 10_057]

/**
 * Makes what is missing of the farm's streams and the coordinator's consumer.
 * @param replicas servers that keep each stream that has to be made
 * @returns the names of what had to be made: STREAM or STREAM/CONSUMER
 */
export async function createMissing(manager: JetStreamManager, replicas: number): Promise<readonly string[]> {
  const created: string[] = []
  const stream = async (name: string, subject: string): Promise<void> => {
    if ((await nullIfMissing(() => manager.streams.info(name))) !== null) return
    await manager.streams.add({
      name,
      subjects: [subject],
      retention: RetentionPolicy.Workqueue,
      storage: StorageType.File,
      num_replicas: replicas,
      discard: DiscardPolicy.New,
      duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    })
    created.push(name)
  }
  await stream(SHARD_STREAM, SHARD_SUBJECTS)
  await stream(COMPLETION_STREAM, COMPLETION_SUBJECT)
  if ((await nullIfMissing(() => manager.consumers.info(COMPLETION_STREAM, COMPLETION_CONSUMER))) === null) {
    await addConsumer(manager, COMPLETION_STREAM, { name: COMPLETION_CONSUMER, subject: COMPLETION_SUBJECT })
    created.push(`${COMPLETION_STREAM}/${COMPLETION_CONSUMER}`)
  }
  return created
}

/** The consumer of a worker's shards, made where it is missing; never the stream. */
export async function openWorkerConsumer(
  manager: JetStreamManager,
  workerId: string,
  queue: ShardQueue,
): Promise<string> {
  const name = workerConsumer(workerId, queue)
  if ((await nullIfMissing(() => manager.consumers.info(SHARD_STREAM, name))) === null)
    await addConsumer(manager, SHARD_STREAM, { name, subject: shardSubject(workerId, queue), inactiveMs: INACTIVE_MS })
  return name
}

async function addConsumer(
  manager: JetStreamManager,
  stream: string,
  { name, subject, inactiveMs }: { readonly name: string; readonly subject: string; readonly inactiveMs?: number },
): Promise<void> {
  await manager.consumers.add(stream, {
    durable_name: name,
    filter_subject: subject,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    max_deliver: -1,
    max_ack_pending: 10_000,
    max_waiting: 4_096,
    ...(inactiveMs !== undefined && { inactive_threshold: nanos(inactiveMs) }),
  })
}

/** Null where the server says that there is no such thing. */
export async function nullIfMissing<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask()
  } catch (reason) {
    const error = reason instanceof NatsError ? reason.api_error : undefined
    if (error?.code === NOT_FOUND || MESSAGE_GONE.includes(error?.err_code ?? 0)) return null
    throw reason
  }
}
