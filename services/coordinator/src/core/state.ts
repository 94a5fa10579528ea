import type { Worker } from '@darkroom/proto'

/** What the core knows of a batch at its opening. */
export interface BatchSummary {
  readonly id: string
  readonly itemCount: number
  readonly imageCount: number
  readonly createdAtMs: number
}

export interface ShardSummary {
  readonly id: string
  readonly itemCount: number
  /** Units of the cost model: rows × steps × pixels. */
  readonly cost: number
  readonly checkpoint: string
}

/** What a commit record says, as far as the core counts it. */
export interface ShardResult {
  readonly kind: 'rendered' | 'cancelled' | 'failed' | 'split'
  readonly rendered: number
  readonly failed: number
  readonly cancelled: number
  readonly images: number
  readonly deviceSeconds: number
  readonly schedulers: readonly SchedulerTally[]
}

export interface SchedulerTally {
  readonly scheduler: string
  readonly images: number
  readonly steps: number
  readonly seconds: number
}

/** An open shard's life; it leaves the state when its commit record is seen. */
const SHARD_TRANSITIONS = {
  /** Has its place in a stored plan segment. */
  planned: ['dispatching', 'ending'],
  /** Its message is on the way to the stream. */
  dispatching: ['dispatched', 'planned', 'ending'],
  /** In the stream or with a worker. */
  dispatched: ['planned', 'ending'],
  /** The coordinator is writing a record of its own. */
  ending: [],
} as const

export type ShardState = keyof typeof SHARD_TRANSITIONS

export interface OpenShard extends ShardSummary {
  state: ShardState
  /** Of the last dispatch; 0 before the first. */
  attempt: number
  /** Attempts that a worker failed or died in. */
  failures: number
  lastError: string
  /** The worker that reports it, null while in the stream or unknown. */
  workerId: string | null
  sequence: number | null
  /** When it was dispatched, or when its worker stopped reporting it. */
  unownedSinceMs: number
}

export type BatchState = 'queued' | 'running' | 'cancelling' | 'finalizing'

export interface OpenBatch extends BatchSummary {
  state: BatchState
  readonly segmentCount: number
  /** The next to plan. */
  nextSegment: number
  isPlanning: boolean
  plannedItems: number
  /** Ids of planned shards in order, waiting for dispatch. */
  ready: string[]
  readonly open: Map<string, OpenShard>
  endedShards: number
  rendered: number
  failed: number
  cancelled: number
  images: number
  readonly schedulers: Map<string, { images: number; steps: number; seconds: number }>
  startedAtMs: number | null
  /** Commits of the last minute, for the rate. */
  recent: { atMs: number; images: number }[]
}

interface LiveWorker {
  readonly id: string
  snapshot: Worker
  seenAtMs: number
  /** Keys of the shards that it reported last. */
  running: ReadonlySet<string>
}

export interface FarmSettings {
  readonly window: number
  readonly maxFailures: number
  readonly workerLeaseMs: number
  /** A dispatched shard that no worker reports for so long, while one has room, is dispatched again. */
  readonly unownedMs: number
}

/** Everything that the dispatcher decides from. Size: O(workers + open shards). */
export interface FarmState {
  readonly settings: FarmSettings
  /** Nothing is dispatched before: after a take-over workers first say what they hold. */
  dispatchFromMs: number
  readonly workers: Map<string, LiveWorker>
  readonly batches: Map<string, OpenBatch>
  /** Open batches in turn. */
  readonly ring: string[]
  /** Shards that are dispatching or dispatched. */
  outstanding: number
}

export function createState(settings: FarmSettings, dispatchFromMs: number): FarmState {
  return { settings, dispatchFromMs, workers: new Map(), batches: new Map(), ring: [], outstanding: 0 }
}

export function shardKey(batchId: string, shardId: string): string {
  return `${batchId}/${shardId}`
}

/** The only place that changes a shard's state. @throws Error on a move that the table does not have */
export function moveShard(farm: FarmState, shard: OpenShard, to: ShardState): void {
  const allowed: readonly ShardState[] = SHARD_TRANSITIONS[shard.state]
  if (!allowed.includes(to)) throw new Error(`shard ${shard.id} cannot go from ${shard.state} to ${to}`)
  const counts = (state: ShardState): number => (state === 'dispatching' || state === 'dispatched' ? 1 : 0)
  farm.outstanding += counts(to) - counts(shard.state)
  shard.state = to
}

/** A number that grows with every change and is the same after a restart. */
export function revisionOf(batch: { endedShards: number; state: BatchState | 'ended' }): number {
  const ranks = { queued: 0, running: 1, cancelling: 2, finalizing: 3, ended: 4 }
  return batch.endedShards * 8 + ranks[batch.state]
}
