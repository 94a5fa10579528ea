import { setTimeout as delay } from 'node:timers/promises'
import { DarkroomError } from '@darkroom/chassis'
import type { WatchBatchResponse } from '@darkroom/proto'
import type { CoreContext } from '../context.ts'
import { isEnded } from './batch-json.ts'

const RETRY_MS = 1_000

/** Every change of a batch and its previews, until it ends or the signal aborts. A coordinator that goes away is waited for. */
export async function* followBatch(
  { coordinator, events }: CoreContext,
  batchId: string,
  signal: AbortSignal,
  afterRevision = 0n,
): AsyncGenerator<WatchBatchResponse, void> {
  let seen = afterRevision
  while (!signal.aborted) {
    try {
      for await (const change of coordinator.watchBatch({ batchId, afterRevision: seen }, { signal })) {
        yield change
        if (change.batch === undefined) continue
        if (isEnded(change.batch.state)) return
        seen = change.revision
      }
      return
    } catch (reason) {
      if (signal.aborted) return
      events.eventStreamBroken(batchId, DarkroomError.from(reason))
      await delay(RETRY_MS, undefined, { signal }).catch(() => {})
    }
  }
}
