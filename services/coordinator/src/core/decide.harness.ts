import { create } from '@bufbuild/protobuf'
import { SEGMENT_ITEMS, WorkerSchema } from '@darkroom/proto'
import type { ItemRanges, Worker } from '@darkroom/proto'
import { FIRST_SECONDS_PER_UNIT } from '../planner/cost-model.ts'
import { noCounts } from './counts.ts'
import type { FarmCommand, FarmEvent, SegmentSummary } from './messages.ts'
import { NO_NEEDS } from './needs.ts'
import type { BatchSummary, FarmSettings, ShardResult } from './state.ts'

export const SETTINGS: FarmSettings = {
  window: 2,
  maxFailures: 5,
  auditShare: 0,
  workerLeaseMs: 5_000,
  progressLeaseMs: 60_000,
  detachedGraceMs: 1_000,
  unownedMs: 10_000,
  starvationMs: 60_000,
}
export const ITEMS_PER_SHARD = 3

export type CommandOf<T extends FarmCommand['type']> = Extract<FarmCommand, { type: T }>
export type Running = readonly { readonly batchId: string; readonly shardId: string; readonly attempt: number }[]

export const ofType = <T extends FarmCommand['type']>(commands: readonly FarmCommand[], type: T): CommandOf<T>[] =>
  commands.filter((command): command is CommandOf<T> => command.type === type)

export const workerOf = (id: string, running: Running = [], residentCheckpoints: readonly string[] = []): Worker =>
  create(WorkerSchema, { id, running: [...running], residentCheckpoints: [...residentCheckpoints] })

export function resultOf(
  kind: ShardResult['kind'],
  itemCount: number,
  deviceSeconds = 1,
  workerId: string | null = null,
): ShardResult {
  return {
    ...noCounts(),
    kind,
    workerId,
    rendered: kind === 'rendered' ? itemCount : 0,
    failed: kind === 'failed' ? itemCount : 0,
    cancelled: kind === 'cancelled' ? itemCount : 0,
    images: kind === 'rendered' ? itemCount : 0,
    deviceSeconds: kind === 'rendered' ? deviceSeconds : 0,
    schedulers:
      kind === 'rendered'
        ? [{ scheduler: 'DDIMScheduler', images: itemCount, steps: itemCount * 10, seconds: deviceSeconds }]
        : [],
  }
}

export const openedOf = (
  id: string,
  segmentCount: number,
  shardsPerSegment: number,
  segments: readonly SegmentSummary[] = [],
  summary: Partial<BatchSummary> = {},
): Extract<FarmEvent, { type: 'batchOpened' }> => {
  const itemCount = segmentCount * shardsPerSegment * ITEMS_PER_SHARD
  const batch = {
    id,
    itemCount,
    imageCount: itemCount,
    schedulerImages: new Map<string, number>(),
    createdAtMs: 0,
    tenant: 'default',
    priority: 0,
    isInteractive: false,
    expiresAtMs: null,
    isPaused: false,
    completeByMs: null,
    approveAfter: null,
    isApproved: false,
    pausedItems: [],
    cancelledItems: [],
    needs: NO_NEEDS,
    ...summary,
  }
  const planned = new Map(segments.entries())
  return {
    type: 'batchOpened',
    batch,
    segmentCount,
    completed: null,
    segments: planned,
    measured: [],
    startedAtMs: null,
    isCancelled: false,
  }
}

const rangeFrom = (first: number, count: number): ItemRanges => [[first, first + count - 1]]

export const segmentOf = (segment: number, shardCount: number, checkpoint = 'emoji-ddpm'): SegmentSummary => ({
  shards: Array.from({ length: shardCount }, (_, n) => ({
    id: `${segment}-${n}`,
    items: rangeFrom(segment * SEGMENT_ITEMS + n * ITEMS_PER_SHARD, ITEMS_PER_SHARD),
    itemCount: ITEMS_PER_SHARD,
    checkpoint,
    // A second's work, as long as nothing was measured.
    work: { DDIMScheduler: 1 / FIRST_SECONDS_PER_UNIT },
  })),
  ended: [],
})

/** The plan ends before this segment. */
export const closedOf = (batchId: string, segment: number): FarmEvent => ({
  type: 'segmentPlanned',
  batchId,
  segment,
  summary: { shards: [], ended: [], isClosed: true },
})

export const plannedOf = (
  batchId: string,
  segment: number,
  shardCount: number,
): Extract<FarmEvent, { type: 'segmentPlanned' }> => ({
  type: 'segmentPlanned',
  batchId,
  segment,
  summary: segmentOf(segment, shardCount),
})
