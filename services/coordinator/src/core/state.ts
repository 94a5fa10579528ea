import type { Worker } from '@darkroom/proto'
import type { Counts } from './counts.ts'
import type { LossRate } from './loss-rate.ts'
import type { SchedulerTally, Tallies } from './tally.ts'

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
  /** Units of the cost model: rows × pixels. */
  readonly cost: number
  readonly checkpoint: string
}

/** What a commit record says, as far as the core counts it. */
export interface ShardResult extends Readonly<Counts> {
  readonly kind: 'rendered' | 'cancelled' | 'failed' | 'split'
  readonly deviceSeconds: number
  readonly schedulers: readonly SchedulerTally[]
}

/** An open shard's life; it leaves the state when its commit record is seen. */
const SHARD_TRANSITIONS = {
  /** Has its place in a stored plan segment. */
  planned: ['dispatching', 'ending'],
  /** Its message is on the way to the stream. */
  dispatching: ['dispatched', 'planned', 'ending'],
  /** In the stream or with a worker. */
  dispatched: ['planned', 'ending'],
  /** Its record is there, or the coordinator is writing one of its own. */
  ending: [],
} as const

export type ShardState = keyof typeof SHARD_TRANSITIONS

export interface OpenShard extends ShardSummary {
  readonly batchId: string
  state: ShardState
  /** Of the last dispatch; 0 before the first. */
  attempt: number
  /** Attempts that a worker failed or died in. */
  failures: number
  /** The worker that reports it, null while in the stream or unknown. */
  workerId: string | null
  sequence: number | null
  /** When it was dispatched, or when its worker stopped reporting it. */
  unownedSinceMs: number
}

export type BatchState = 'queued' | 'running' | 'cancelling' | 'finalizing'

export interface OpenBatch extends BatchSummary, Counts {
  state: BatchState
  readonly segmentCount: number
  /** The next to plan. */
  nextSegment: number
  isPlanning: boolean
  /** Ids of planned shards in order, waiting for dispatch. */
  ready: string[]
  readonly open: Map<string, OpenShard>
  endedShards: number
  readonly schedulers: Tallies
  startedAtMs: number | null
  /** When this coordinator saw its first shard on the way: the rate counts from there. */
  rateSinceMs: number | null
  /** Commits of the last minute, oldest first. */
  readonly recent: { atMs: number; images: number }[]
}

export interface AttachedWorker {
  readonly id: string
  snapshot: Worker
  seenAtMs: number
  /** Shards that it reported last, by key. */
  running: ReadonlyMap<string, { readonly batchId: string; readonly shardId: string }>
  /** Since when it reports none. */
  idleSinceMs: number | null
  /** When its stream broke; it may attach again before it is taken for lost. */
  detachedAtMs: number | null
}

export interface FarmSettings {
  /** Shards that are dispatched ahead per worker. */
  readonly window: number
  readonly maxFailures: number
  /** A worker that says nothing for so long is lost. */
  readonly workerLeaseMs: number
  /** A worker whose stream broke is lost after so long. */
  readonly detachedGraceMs: number
  /** A dispatched shard that no worker reports for so long, while one is idle, is dispatched again. */
  readonly unownedMs: number
}

/** Everything that the dispatcher decides from. Size: O(workers + open shards). */
export interface FarmState {
  readonly settings: FarmSettings
  /** Nothing is dispatched before: after a take-over workers first say what they hold. */
  dispatchFromMs: number
  readonly workers: Map<string, AttachedWorker>
  /** Workers that shards are dispatched for: attached, and neither starting nor draining. */
  readonly taking: Set<string>
  readonly batches: Map<string, OpenBatch>
  /** Batches with something to dispatch or to plan, in turn. The seam for weights, tenants and priorities. */
  readonly ring: Set<string>
  /** Shards that are dispatching or dispatched. */
  outstanding: number
  /** Batches that are planning a segment. */
  planning: number
  /** Dispatched shards that no worker reports, those for the longest first. */
  readonly unowned: Set<OpenShard>
  readonly lossRate: LossRate
}

export function createState(settings: FarmSettings, dispatchFromMs: number): FarmState {
  return {
    settings,
    dispatchFromMs,
    workers: new Map(),
    taking: new Set(),
    batches: new Map(),
    ring: new Set(),
    outstanding: 0,
    planning: 0,
    unowned: new Set(),
    lossRate: { losses: 0, heldMs: 0 },
  }
}

export function shardKey(batchId: string, shardId: string): string {
  return `${batchId}/${shardId}`
}

export function findShard(
  farm: FarmState,
  batchId: string,
  shardId: string,
): { batch: OpenBatch; shard: OpenShard } | null {
  const batch = farm.batches.get(batchId)
  const shard = batch?.open.get(shardId)
  return batch === undefined || shard === undefined ? null : { batch, shard }
}

/** The only place that changes a shard's state. @throws Error on a move that the table does not have */
export function moveShard(farm: FarmState, shard: OpenShard, to: ShardState): void {
  const allowed: readonly ShardState[] = SHARD_TRANSITIONS[shard.state]
  if (!allowed.includes(to)) throw new Error(`shard ${shard.id} cannot go from ${shard.state} to ${to}`)
  const counts = (state: ShardState): number => (state === 'dispatching' || state === 'dispatched' ? 1 : 0)
  farm.outstanding += counts(to) - counts(shard.state)
  if (to !== 'dispatched') farm.unowned.delete(shard)
  shard.state = to
}

/** Says who has a dispatched shard; null for the stream, or nobody knows. */
export function ownShard(farm: FarmState, shard: OpenShard, workerId: string | null, nowMs: number): void {
  shard.workerId = workerId
  farm.unowned.delete(shard)
  if (workerId !== null) return
  shard.unownedSinceMs = nowMs
  farm.unowned.add(shard)
}

/** A number that grows with every change and is the same after a restart. */
export function revisionOf(batch: { endedShards: number; state: BatchState | 'ended' }): number {
  const ranks = { queued: 0, running: 1, cancelling: 2, finalizing: 3, ended: 4 }
  return batch.endedShards * 8 + ranks[batch.state]
}
