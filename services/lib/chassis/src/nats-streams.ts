import {
  COMPLETION_CONSUMER,
  COMPLETION_STREAM,
  COMPLETION_SUBJECT,
  poolConsumer,
  SHARD_STREAM,
  SHARD_SUBJECTS,
  shardSubject,
} from '@darkroom/proto'
import { AckPolicy, DiscardPolicy, nanos, NatsError, RetentionPolicy, StorageType } from 'nats'
import type { JetStreamManager } from 'nats'

/** How long JetStream waits for a worker that says nothing; the coordinator notices much sooner and withdraws the message. */
const ACK_WAIT_MS = 60_000
const DUPLICATE_WINDOW_MS = 120_000
const NOT_FOUND = 404
/** JSNoMessageFoundErr: deleting a message that is gone answers with this and the code 500. */
const NO_MESSAGE_FOUND = 10_057

/**
 * Makes what is missing of the farm's streams and their consumers.
 * @returns the names of what had to be made: STREAM or STREAM/CONSUMER
 */
export async function createMissing(manager: JetStreamManager, pools: readonly string[]): Promise<readonly string[]> {
  const created: string[] = []
  const stream = async (name: string, subject: string): Promise<void> => {
    if ((await nullIfMissing(() => manager.streams.info(name))) !== null) return
    await manager.streams.add({
      name,
      subjects: [subject],
      retention: RetentionPolicy.Workqueue,
      storage: StorageType.File,
      discard: DiscardPolicy.New,
      duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    })
    created.push(name)
  }
  const consumer = async (streamName: string, name: string, subject: string): Promise<void> => {
    if ((await nullIfMissing(() => manager.consumers.info(streamName, name))) !== null) return
    await manager.consumers.add(streamName, {
      durable_name: name,
      filter_subject: subject,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ACK_WAIT_MS),
      max_deliver: -1,
      max_ack_pending: 10_000,
      max_waiting: 4_096,
    })
    created.push(`${streamName}/${name}`)
  }
  await stream(SHARD_STREAM, SHARD_SUBJECTS)
  await stream(COMPLETION_STREAM, COMPLETION_SUBJECT)
  await consumer(COMPLETION_STREAM, COMPLETION_CONSUMER, COMPLETION_SUBJECT)
  for (const pool of pools) await consumer(SHARD_STREAM, poolConsumer(pool), shardSubject(pool))
  return created
}

/** Null where the server says that there is no such thing. */
export async function nullIfMissing<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask()
  } catch (reason) {
    const error = reason instanceof NatsError ? reason.api_error : undefined
    if (error?.code === NOT_FOUND || error?.err_code === NO_MESSAGE_FOUND) return null
    throw reason
  }
}
