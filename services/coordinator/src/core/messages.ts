import type { ItemRanges, Worker } from '@darkroom/proto'
import type { Work } from '../planner/cost-model.ts'
import type { QuarantineReason } from './quarantine.ts'
import type { Completed } from './segments.ts'
import type { BatchSummary, ShardResult, ShardSummary } from './state.ts'
import type { TenantTerms } from './tenants.ts'

/** What a stored plan segment holds: shards without a record, and what became of the others. */
export interface SegmentSummary {
  readonly shards: readonly ShardSummary[]
  readonly ended: readonly ShardResult[]
  /** Nothing of it or of a later one will ever be planned: some leader has cancelled the batch. */
  readonly isClosed?: true
}

/** What a shard was to do and what it took. */
export interface MeasuredShard {
  readonly checkpoint: string
  readonly work: Work
  readonly result: ShardResult
}

/** What somebody wants of a batch that is open. */
export type BatchChange =
  | { readonly type: 'cancelRequested'; readonly batchId: string }
  | { readonly type: 'batchPriorityChanged'; readonly batchId: string; readonly priority: number }
  | { readonly type: 'batchDeadlineChanged'; readonly batchId: string; readonly completeByMs: number }
  | { readonly type: 'batchPaused'; readonly batchId: string }
  | { readonly type: 'batchResumed'; readonly batchId: string }
  | { readonly type: 'batchApproved'; readonly batchId: string }
  | {
      readonly type: 'itemsCancelled' | 'itemsPaused' | 'itemsResumed'
      readonly batchId: string
      readonly items: ItemRanges
    }

/** What has happened. */
export type FarmEvent =
  | {
      readonly type: 'batchOpened'
      readonly batch: BatchSummary
      readonly segmentCount: number
      /** What is known to be completed. */
      readonly completed: Completed | null
      /** What the bucket holds of the rest of the plan, by segment, in order. */
      readonly segments: ReadonlyMap<number, SegmentSummary>
      /** Of those that have ended, as many as were looked at. */
      readonly measured: readonly MeasuredShard[]
      /** When its first record was begun, null where there is none. */
      readonly startedAtMs: number | null
      readonly isCancelled: boolean
    }
  | {
      readonly type: 'segmentPlanned'
      readonly batchId: string
      readonly segment: number
      readonly summary: SegmentSummary
    }
  | {
      readonly type: 'shardDispatched'
      readonly batchId: string
      readonly shardId: string
      readonly attempt: number
      readonly sequence: number
    }
  | {
      readonly type: 'shardEnded'
      readonly batchId: string
      readonly shardId: string
      readonly result: ShardResult
      /** Of a shard that was split. */
      readonly halves?: readonly ShardSummary[]
    }
  | {
      readonly type: 'attemptFailed'
      readonly batchId: string
      readonly shardId: string
      readonly attempt: number
      /** Whose it was; absent where no worker had it. */
      readonly workerId?: string
      readonly message: string
      /** Whether one of several items may be to blame; absent: no. */
      readonly mayBeAnItem?: boolean
    }
  | { readonly type: 'auditDispatched'; readonly batchId: string; readonly shardId: string; readonly sequence: number }
  | { readonly type: 'auditEnded'; readonly batchId: string; readonly shardId: string }
  /** Two attempts of one shard have made different pictures. */
  | { readonly type: 'resultsDiffered'; readonly workerId: string; readonly otherId: string }
  | { readonly type: 'workerSeen'; readonly worker: Worker }
  | { readonly type: 'workerDetached'; readonly workerId: string }
  | BatchChange
  | { readonly type: 'tenantChanged'; readonly tenant: string; readonly terms: TenantTerms }
  | { readonly type: 'queueLost' }
  | { readonly type: 'batchFinished'; readonly batchId: string }
  | { readonly type: 'tick' }

/** What is to be done. Each may be carried out more than once, and in any order: the events that follow tell what came of it. */
export type FarmCommand =
  | {
      readonly type: 'planSegment'
      readonly batchId: string
      readonly segment: number
      readonly workers: number
      /** Closes the plan instead, unless another leader has planned this segment. */
      readonly isClosing: boolean
    }
  | {
      readonly type: 'dispatch'
      readonly batchId: string
      readonly shardId: string
      readonly attempt: number
      /** Before it. */
      readonly failedAttempts: number
      readonly workerId: string
      /** Whether the worker has to load the checkpoint for it. */
      readonly isSwap: boolean
    }
  | {
      readonly type: 'audit'
      readonly batchId: string
      readonly shardId: string
      readonly attempt: number
      readonly workerId: string
    }
  | { readonly type: 'withdraw'; readonly sequence: number }
  | {
      readonly type: 'cancelOnWorker'
      readonly workerId: string
      readonly batchId: string
      readonly shardId: string
      readonly attempt: number
    }
  | {
      readonly type: 'cancelItemsOnWorker'
      readonly workerId: string
      readonly batchId: string
      readonly shardId: string
      readonly items: ItemRanges
    }
  | {
      readonly type: 'endShard'
      readonly batchId: string
      readonly shardId: string
      readonly attempt: number
      readonly failedAttempts: number
      readonly kind: 'cancelled' | 'failed' | 'split'
      readonly itemCount: number
      readonly message: string
    }
  | { readonly type: 'finalize'; readonly batchId: string; readonly isCancelled: boolean }
  | { readonly type: 'saveCompleted'; readonly batchId: string }
  | { readonly type: 'workerLost'; readonly workerId: string }
  | { readonly type: 'workerStalled'; readonly workerId: string }
  | { readonly type: 'quarantined'; readonly workerId: string; readonly reason: QuarantineReason }
  | { readonly type: 'released'; readonly workerId: string }
  | { readonly type: 'hedged'; readonly batchId: string; readonly shardId: string; readonly workerId: string }
  | { readonly type: 'changed'; readonly batchId: string }
  | { readonly type: 'redispatched'; readonly reason: RedispatchReason }

export const REDISPATCH_REASONS = [
  'worker_lost',
  'worker_left',
  'stalled',
  'attempt_failed',
  'queue_lost',
  'unowned',
  'rebalanced',
] as const
export type RedispatchReason = (typeof REDISPATCH_REASONS)[number]
