import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate, timestampFromMs } from '@bufbuild/protobuf/wkt'
import { ApprovalState, BatchSchema, BatchState } from '@darkroom/proto'
import type { Batch, BatchDocument, DoneDocument, SchedulerThroughputSchema } from '@darkroom/proto'
import { approvalOf } from './core/approval.ts'
import { RATE_WINDOW_MS } from './core/shard-life.ts'
import type { OpenBatch } from './core/state.ts'
import type { SchedulerTally } from './core/tally.ts'

const APPROVALS = {
  rendering: ApprovalState.RENDERING,
  waiting: ApprovalState.WAITING,
  given: ApprovalState.GIVEN,
} as const

const STATES = {
  queued: BatchState.QUEUED,
  running: BatchState.RUNNING,
  cancelling: BatchState.CANCELLING,
  finalizing: BatchState.FINALIZING,
} as const

/** An open batch as callers see it. */
export function viewOpen(batch: OpenBatch, nowMs: number): Batch {
  const ended = batch.rendered + batch.failed + batch.cancelled
  const etaSeconds = etaSecondsOf(batch, nowMs)
  const approval = approvalOf(batch)
  return create(BatchSchema, {
    id: batch.id,
    state: STATES[batch.state],
    tenant: batch.tenant,
    priority: batch.priority,
    paused: batch.isPaused,
    itemCount: batch.itemCount,
    imageCount: batch.imageCount,
    items: {
      rendered: batch.rendered,
      failed: batch.failed,
      cancelled: batch.cancelled,
      open: batch.itemCount - ended,
    },
    imagesRendered: batch.images,
    imagesFailed: batch.imagesFailed,
    imagesFlagged: batch.imagesFlagged,
    itemsWarned: batch.itemsWarned,
    createdAt: timestampFromMs(batch.createdAtMs),
    ...(batch.startedAtMs !== null && { startedAt: timestampFromMs(batch.startedAtMs) }),
    imagesPerSecond: rateOf(batch, nowMs),
    ...(etaSeconds !== null && { etaSeconds }),
    ...(batch.completeByMs !== null && { completeBy: timestampFromMs(batch.completeByMs) }),
    atRisk: isAtRisk(batch, nowMs),
    ...(approval !== null && { approval: { afterItems: batch.approveAfter!, state: APPROVALS[approval] } }),
    schedulers: [...batch.schedulers.values()].map(viewTally),
    runningShards: [...batch.open.values()].filter(({ workerId }) => workerId !== null).map(({ id }) => id),
  })
}

/** Whether a batch will not have ended when it is wanted, at the rate that it has; without any, once that is past. */
export function isAtRisk(batch: OpenBatch, nowMs: number): boolean {
  const { completeByMs } = batch
  return completeByMs !== null && nowMs + 1000 * (etaSecondsOf(batch, nowMs) ?? 0) > completeByMs
}

/** Until its end at the rate that it has; null without any, and while it waits for a yes. As if what is open had as many images an item as the whole. */
function etaSecondsOf(batch: OpenBatch, nowMs: number): number | null {
  const ended = batch.rendered + batch.failed + batch.cancelled
  const rate = rateOf(batch, nowMs)
  return rate > 0 && approvalOf(batch) !== 'waiting' ? (batch.imageCount * (1 - ended / batch.itemCount)) / rate : null
}

/** Images a second over the last minute, or since this coordinator's first dispatch where that is less. */
function rateOf(batch: OpenBatch, nowMs: number): number {
  if (batch.rateSinceMs === null) return 0
  const sinceMs = Math.max(batch.rateSinceMs, nowMs - RATE_WINDOW_MS)
  const images = batch.recent.reduce((sum, entry) => sum + (entry.atMs >= sinceMs ? entry.images : 0), 0)
  const seconds = (nowMs - sinceMs) / 1000
  return seconds > 0 ? images / seconds : 0
}

function viewTally(tally: SchedulerTally): MessageInitShape<typeof SchedulerThroughputSchema> {
  return { ...tally, images: BigInt(tally.images), steps: BigInt(tally.steps) }
}

/** An ended batch, from its documents. */
export function viewEnded(batch: BatchDocument, done: DoneDocument): Batch {
  const startedMs = Date.parse(done.startedAt ?? done.endedAt)
  const seconds = (Date.parse(done.endedAt) - startedMs) / 1000
  return create(BatchSchema, {
    id: batch.id,
    tenant: batch.tenant,
    state: done.state === 'completed' ? BatchState.COMPLETED : BatchState.CANCELLED,
    itemCount: batch.itemCount,
    imageCount: batch.imageCount,
    items: { ...done.items, open: 0 },
    imagesRendered: done.images,
    imagesFailed: done.imagesFailed ?? 0,
    imagesFlagged: done.imagesFlagged ?? 0,
    itemsWarned: done.itemsWarned ?? 0,
    createdAt: timestampFromDate(new Date(batch.createdAt)),
    ...(done.startedAt !== null && { startedAt: timestampFromMs(startedMs) }),
    endedAt: timestampFromDate(new Date(done.endedAt)),
    imagesPerSecond: seconds > 0 ? done.images / seconds : 0,
    schedulers: done.schedulers.map(viewTally),
  })
}
