/** NATS subjects, streams, consumers and buckets. No stream, consumer or subject belongs to a batch. */

/** Work-queue stream of ShardAssignment; the dispatcher fills it just in time, so its depth is O(workers). */
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

/** Shards for one pool of like workers. A pool's name is one subject token: letters, digits, '-' and '_'. */
export function shardSubject(pool: string): string {
  return `darkroom.v1.shard.dispatch.${pool}`
}

/** Durable pull consumer shared by all workers of a pool. */
export function poolConsumer(pool: string): string {
  return `workers-${pool}`
}
