import type { ItemRanges, RunningShard, Worker } from '@darkroom/proto'
import { CostModel } from '../planner/cost-model.ts'
import type { Work } from '../planner/cost-model.ts'
import type { Audit } from './audit.ts'
import type { Backlog, Level, ReadyQueue } from './backlog.ts'
import type { Counts } from './counts.ts'
import { Heap } from './heap.ts'
import type { Spent } from './hedge.ts'
import type { LossRate } from './loss-rate.ts'
import type { Needs } from './needs.ts'
import type { Suspects } from './quarantine.ts'
import type { OpenSegment, Tally } from './segments.ts'
import type { Outlook } from './outlook.ts'
import type { Place, Profile } from './slots.ts'
import type { Swaps } from './swaps.ts'
import type { SchedulerTally, Tallies } from './tally.ts'
import type { Tenant } from './tenants.ts'

/** What the core knows of a batch at its opening. */
export interface BatchSummary {
  readonly id: string
  readonly itemCount: number
  readonly imageCount: number
  /** By scheduler; empty where nobody counted them. */
  readonly schedulerImages: ReadonlyMap<string, number>
  readonly createdAtMs: number
  readonly tenant: string
  /** Within its tenant: the higher goes first. */
  readonly priority: number
  /** Of the small class that never waits behind batches. */
  readonly isInteractive: boolean
  /** When what is open of it is to be cancelled; null: never. */
  readonly expiresAtMs: number | null
  readonly isPaused: boolean
  /** When it is wanted; null where nobody said. */
  readonly completeByMs: number | null
  /** So many of its first items are rendered before the others, which wait until it is approved; null: nobody is asked. */
  readonly approveAfter: number | null
  readonly isApproved: boolean
  /** No shard that has one of these starts. */
  readonly pausedItems: ItemRanges
  /** What of these has not ended is not rendered. */
  readonly cancelledItems: ItemRanges
  readonly needs: Needs
}

export interface ShardSummary {
  readonly id: string
  readonly items: ItemRanges
  readonly itemCount: number
  readonly checkpoint: string
  /** What there is to do, by scheduler. */
  readonly work: Work
}

/** What a commit record says, as far as the core counts it. */
export interface ShardResult extends Readonly<Counts> {
  readonly kind: 'rendered' | 'cancelled' | 'failed' | 'split'
  /** Who rendered it; null for a record of the coordinator's own. */
  readonly workerId: string | null
  readonly deviceSeconds: number
  readonly schedulers: readonly SchedulerTally[]
}

/** An open shard's life; it leaves the state when its commit record is seen. */
export const SHARD_TRANSITIONS = {
  /** Waits until somebody approves its batch, or resumes its items. */
  held: ['planned', 'dispatching', 'ending'],
  /** Has its place in a stored plan segment. */
  planned: ['held', 'dispatching', 'ending'],
  /** Its message is on the way to the stream. */
  dispatching: ['dispatched', 'planned', 'held', 'resting', 'ending'],
  /** In the stream or with a worker. */
  dispatched: ['planned', 'held', 'resting', 'ending'],
  /** It has failed, and is planned again after a while. */
  resting: ['planned', 'held', 'ending'],
  /** Its record is there, or the coordinator is writing one of its own. */
  ending: [],
} as const

export type ShardState = keyof typeof SHARD_TRANSITIONS

export interface OpenShard extends ShardSummary {
  readonly batchId: string
  readonly segment: number
  state: ShardState
  /** Of the last dispatch that was no hedge; 0 before the first. */
  attempt: number
  /** Dispatches so far. */
  attempts: number
  /** Attempts that a worker failed or died in. */
  failures: number
  /** Workers that failed it, or a whole that it is a half of, or were lost with it: others are asked first. */
  failedOn: readonly string[]
  /** Workers that said that they cannot render it. */
  refusedBy: readonly string[]
  /** Attempts that were told to give it up, since another goes on with it. */
  calledOff: readonly Attempt[]
  /** While it rests. */
  restsUntilMs: number
  /** The worker that it was given to, null while it waits. */
  assignedTo: string | null
  /** The worker that reports it, null while in the stream or unknown. */
  workerId: string | null
  /** Estimate on a device that nobody knows yet. */
  readonly seconds: number
  /** GPU-seconds that its tenant was charged. */
  charged: number
  sequence: number | null
  /** When it was dispatched, or when its worker stopped reporting it. */
  unownedSinceMs: number
  /** When its worker first told of steps, and how many these were; null before that. */
  firstSteps: { readonly atMs: number; readonly done: number } | null
  /** A second attempt at the same time; null for none. */
  hedge: Hedge | null
}

/** Who has a shard: leaders number attempts on their own, so that a number alone does not tell. */
export interface Attempt {
  readonly workerId: string
  readonly attempt: number
}

/** A second attempt of a shard whose first one takes too long. Whichever ends first has the record. */
export interface Hedge {
  readonly attempt: number
  readonly workerId: string
  readonly sinceMs: number
  /** Of work that it may cost in vain. */
  readonly seconds: number
  /** Of its message, null while that is on the way. */
  sequence: number | null
  /** Whether the worker reports it. */
  isTaken: boolean
}

export type BatchState = 'queued' | 'running' | 'cancelling' | 'finalizing'

export interface OpenBatch extends BatchSummary, Counts {
  priority: number
  isPaused: boolean
  isApproved: boolean
  pausedItems: ItemRanges
  cancelledItems: ItemRanges
  completeByMs: number | null
  readonly owner: Tenant
  /** Whether it counts among its tenant's active ones. */
  isActive: boolean
  state: BatchState
  readonly segmentCount: number
  /** The next to plan. */
  nextSegment: number
  /** Estimate of the last that was planned, and so of those to come; null where nobody knows. */
  segmentSeconds: number | null
  isPlanning: boolean
  /** Planned shards that wait for dispatch, by checkpoint. */
  readonly ready: Map<string, ReadyQueue>
  readyShards: number
  /** Those that wait for somebody. */
  heldShards: number
  /** Those whose records are written, or seen. */
  endingShards: number
  /** Where it waits for workers; null while it is paused or ending. */
  level: Level | null
  readonly open: Map<string, OpenShard>
  endedShards: number
  readonly schedulers: Tallies
  /** Planned segments with open shards. */
  readonly openSegments: Map<number, OpenSegment>
  /** What all other planned segments sum to, and how much of that is stored. */
  readonly completed: Tally
  savedShards: number
  savedAtMs: number
  startedAtMs: number | null
  /** When this coordinator saw its first shard on the way: the rate counts from there. */
  rateSinceMs: number | null
  /** Commits of the last minute, oldest first. */
  readonly recent: { atMs: number; schedulers: readonly SchedulerTally[] }[]
}

export interface AttachedWorker {
  readonly id: string
  snapshot: Worker
  seenAtMs: number
  /** Shards that it reported last, by key. */
  running: ReadonlyMap<string, RunningShard>
  /** Since when it reports none. */
  idleSinceMs: number | null
  /** When its stream broke; it may attach again before it is taken for lost. */
  detachedAtMs: number | null
  /** Shards that it was given and that have not ended. */
  readonly assigned: Set<OpenShard>
  /** Checkpoints that it has, or will have for what it was given. */
  carries: ReadonlySet<string>
  profile: Profile
  /** Null while it takes no work. */
  place: Place | null
  /** When it last told of something done, or of nothing to do. */
  advancedAtMs: number
  /** Seconds that it takes for what takes others of its device one. */
  slowness: number
  /** How many shards that is known of. */
  timedShards: number
}

export interface FarmSettings {
  /** Shards that are dispatched ahead per worker. */
  readonly window: number
  readonly maxFailures: number
  /** Of rendered shards, the share that is rendered again to compare, 0 to 1. */
  readonly auditShare: number
  /** A worker that says nothing for so long is lost. */
  readonly workerLeaseMs: number
  /** A worker that holds shards and does not advance for so long is stuck. */
  readonly progressLeaseMs: number
  /** A worker whose stream broke is lost after so long. */
  readonly detachedGraceMs: number
  /** A dispatched shard that its worker does not report for so long, while that one is idle, is dispatched again. */
  readonly unownedMs: number
  /** Shards of a checkpoint that wait for so long while others are dispatched go before them. */
  readonly starvationMs: number
}

/** Everything that the dispatcher decides from. Size: O(workers + open shards). */
export interface FarmState {
  readonly settings: FarmSettings
  /** Nothing is dispatched before: after a take-over workers first say what they hold. */
  dispatchFromMs: number
  readonly workers: Map<string, AttachedWorker>
  /** Workers that shards are dispatched for: attached, and neither starting nor draining. */
  readonly taking: Set<string>
  readonly profiles: Map<string, Profile>
  /** How often a worker was listed as free. */
  placings: number
  readonly batches: Map<string, OpenBatch>
  /** Work that waits, by what it needs. */
  readonly backlogs: Map<string, Backlog>
  readonly tenants: Map<string, Tenant>
  /** The service of the tenant that was next last: what an idle one starts from. */
  virtualTime: number
  /** Shards that are dispatching or dispatched. */
  outstanding: number
  /** Dispatched shards that no worker reports, those for the longest first. */
  readonly unowned: Set<OpenShard>
  readonly lossRate: LossRate
  /** Shards that rest, in the order in which they are planned again. */
  readonly resting: Heap<OpenShard>
  /** Shards with two attempts at the same time. */
  readonly hedged: Set<OpenShard>
  readonly spent: Spent
  /** Shards that are rendered again to compare, by key. */
  readonly audits: Map<string, Audit>
  readonly suspects: Suspects
  readonly swaps: Swaps
  readonly costs: CostModel
  outlook: Outlook
}

export function createState(settings: FarmSettings, dispatchFromMs: number): FarmState {
  return {
    settings,
    dispatchFromMs,
    workers: new Map(),
    taking: new Set(),
    profiles: new Map(),
    placings: 0,
    batches: new Map(),
    backlogs: new Map(),
    tenants: new Map(),
    virtualTime: 0,
    outstanding: 0,
    unowned: new Set(),
    lossRate: { losses: 0, heldMs: 0 },
    resting: new Heap((a, b) => a.restsUntilMs < b.restsUntilMs),
    hedged: new Set(),
    audits: new Map(),
    spent: { committedSeconds: 0, hedgedSeconds: 0 },
    suspects: { blames: new Map(), quarantined: new Map() },
    swaps: { loads: 0, seconds: 0 },
    costs: new CostModel(),
    outlook: { all: new Map(), byCheckpoint: new Map() },
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
