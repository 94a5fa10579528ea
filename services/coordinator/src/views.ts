import { create } from '@bufbuild/protobuf'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate, timestampFromMs } from '@bufbuild/protobuf/wkt'
import { ApprovalState, BatchSchema, BatchState, rangesToMessages, schedulerImagesOf } from '@darkroom/proto'
import type { Batch, BatchDocument, DoneDocument, SchedulerThroughputSchema } from '@darkroom/proto'
import { approvalOf } from './core/approval.ts'
import { waitsForSomebody } from './core/hold-back.ts'
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
  const rates = ratesOf(batch, nowMs)
  const imagesPerSecond = sumOf(rates)
  const etaSeconds = etaSecondsOf(batch, imagesPerSecond)
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
    imagesPerSecond,
    ...(etaSeconds !== null && { etaSeconds }),
    ...(batch.completeByMs !== null && { completeBy: timestampFromMs(batch.completeByMs) }),
    atRisk: isAtRisk(batch, nowMs),
    ...(approval !== null && { approval: { afterItems: batch.approveAfter!, state: APPROVALS[approval] } }),
    schedulers: viewSchedulers(
      batch.schedulerImages,
      [...batch.schedulers.values()],
      ({ scheduler }) => rates.get(scheduler) ?? 0,
    ),
    pausedItems: rangesToMessages(batch.pausedItems),
    cancelledItems: rangesToMessages(batch.cancelledItems),
    runningShards: [...batch.open.values()].filter(({ workerId }) => workerId !== null).map(({ id }) => id),
  })
}

/** Whether a batch will not have ended when it is wanted, at the rate that it has; without any, once that is past. */
export function isAtRisk(batch: OpenBatch, nowMs: number): boolean {
  const { completeByMs } = batch
  if (completeByMs === null) return false
  const etaSeconds = etaSecondsOf(batch, sumOf(ratesOf(batch, nowMs))) ?? 0
  return nowMs + 1000 * etaSeconds > completeByMs
}

/**
 * Until its end at the rate that it has; null without any, and while it waits for somebody. As if what is open had as many images an
 * item as the whole.
 */
function etaSecondsOf(batch: OpenBatch, rate: number): number | null {
  const ended = batch.rendered + batch.failed + batch.cancelled
  return rate > 0 && !waitsForSomebody(batch) ? (batch.imageCount * (1 - ended / batch.itemCount)) / rate : null
}

/** Images a second of each scheduler over the last minute, or since this coordinator's first dispatch where that is less. */
function ratesOf({ rateSinceMs, recent }: OpenBatch, nowMs: number): ReadonlyMap<string, number> {
  const rates = new Map<string, number>()
  if (rateSinceMs === null) return rates
  const sinceMs = Math.max(rateSinceMs, nowMs - RATE_WINDOW_MS)
  const seconds = (nowMs - sinceMs) / 1000
  if (seconds <= 0) return rates
  for (const { atMs, schedulers } of recent) {
    if (atMs < sinceMs) continue
    for (const { scheduler, images } of schedulers) rates.set(scheduler, (rates.get(scheduler) ?? 0) + images / seconds)
  }
  return rates
}

function sumOf(rates: ReadonlyMap<string, number>): number {
  return rates.values().reduce((sum, rate) => sum + rate, 0)
}

/** What each scheduler has to do and has done, begun or not. Where nobody counted what it has to do: those that have begun. */
function viewSchedulers(
  asked: ReadonlyMap<string, number>,
  tallies: readonly SchedulerTally[],
  rateOf: (tally: SchedulerTally) => number,
): MessageInitShape<typeof SchedulerThroughputSchema>[] {
  const begun = new Map(tallies.map((tally) => [tally.scheduler, tally]))
  const names = new Set([...asked.keys(), ...begun.keys()])
  return Array.from(names, (scheduler) => {
    const tally = begun.get(scheduler) ?? { scheduler, images: 0, steps: 0, seconds: 0 }
    const imageCount = asked.get(scheduler)
    return {
      ...tally,
      images: BigInt(tally.images),
      steps: BigInt(tally.steps),
      imagesPerSecond: rateOf(tally),
      ...(imageCount !== undefined && { imageCount }),
    }
  })
}

/** An ended batch, from its documents. */
export function viewEnded(batch: BatchDocument, done: DoneDocument): Batch {
  const startedMs = Date.parse(done.startedAt ?? done.endedAt)
  const seconds = (Date.parse(done.endedAt) - startedMs) / 1000
  const rateOf = ({ images }: { readonly images: number }): number => (seconds > 0 ? images / seconds : 0)
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
    imagesPerSecond: rateOf(done),
    schedulers: viewSchedulers(schedulerImagesOf(batch), done.schedulers, rateOf),
  })
}
