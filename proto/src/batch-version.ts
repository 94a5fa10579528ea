import { createHash } from 'node:crypto'
import { ApprovalState, BatchState } from '../gen/darkroom/v1/coordinator_pb.ts'
import type { Batch } from '../gen/darkroom/v1/coordinator_pb.ts'
import { rangesOfMessages } from './item-ranges.ts'

const PHASES: Readonly<Partial<Record<BatchState, string>>> = {
  [BatchState.CANCELLING]: 'cancelling',
  [BatchState.CANCELLED]: 'cancelled',
  [BatchState.COMPLETED]: 'completed',
}

/** Changes with what a person may change of a batch, and when it is open no more; not with its progress. 16 hex digits. */
export function batchVersion(batch: Batch): string {
  const { state, priority, paused, completeBy, approval, pausedItems, cancelledItems } = batch
  const seen = [
    PHASES[state] ?? 'open',
    priority,
    paused,
    completeBy?.seconds.toString(),
    completeBy?.nanos,
    approval?.state === ApprovalState.GIVEN,
    rangesOfMessages(pausedItems),
    rangesOfMessages(cancelledItems),
  ]
  return createHash('sha256').update(JSON.stringify(seen)).digest('hex').slice(0, 16)
}
