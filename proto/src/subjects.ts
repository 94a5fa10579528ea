/** NATS subjects, streams, consumers and buckets. No stream, consumer or subject belongs to a batch. */

/** Work-queue stream of ShardAssignment, a subject for each worker; filled just in time, so that its depth is O(workers). */
export const SHARD_STREAM = 'DARKROOM_SHARDS'
/** Work-queue stream of ShardCompletion, read by the leading coordinator. */
export const COMPLETION_STREAM = 'DARKROOM_COMPLETIONS'
/** Durable pull consumer of the leading coordinator on COMPLETION_STREAM. */
export const COMPLETION_CONSUMER = 'coordinator'
/** Key-value bucket with the coordinator's lease. */
export const LEADER_BUCKET = 'DARKROOM_LEADER'
export const LEADER_KEY = 'coordinator'

export const SHARD_SUBJECTS = 'darkroom.v1.shard.dispatch.*'
export const COMPLETION_SUBJECT = 'darkroom.v1.shard.complete'

/** `now`: shards that somebody waits for, which a worker takes whatever it has in hand; `batch`: all others. */
export type ShardQueue = 'now' | 'batch'

/** Shards for one worker. */
export function shardSubject(workerId: string, queue: ShardQueue = 'batch'): string {
  return `darkroom.v1.shard.dispatch.${queueToken(workerId, queue)}`
}

/** Durable pull consumer of one worker on SHARD_STREAM, made by the worker; gone when that has not pulled for an hour. */
export function workerConsumer(workerId: string, queue: ShardQueue = 'batch'): string {
  return `worker-${queueToken(workerId, queue)}`
}

/** Where a connection's answers come to: below a subject of its own, so that nobody else can be allowed to read them. */
export function inboxPrefix(connectionName: string): string {
  return `darkroom.v1.inbox.${tokenOf(connectionName)}`
}

/** No id has a lone '=' in its token. */
function queueToken(workerId: string, queue: ShardQueue): string {
  return queue === 'now' ? `${tokenOf(workerId)}=now` : tokenOf(workerId)
}

/** An id as one token of a subject: what is not allowed there is written as =HEX. */
function tokenOf(id: string): string {
  return id.replaceAll(/[^A-Za-z0-9_-]/gu, (character) => `=${character.codePointAt(0)!.toString(16)}=`)
}
