import { addSegment, cancelBatch, finishBatch, openBatch } from './batch-life.ts'
import { fill } from './fill.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { blame, confirmDispatch, endShard, redispatch } from './shard-life.ts'
import { findShard } from './state.ts'
import type { FarmState } from './state.ts'
import { checkLeases, checkUnowned, detachWorker, seeWorker } from './worker-life.ts'

/**
 * The coordinator's mind: `(state, event, now) → commands`, with the state that it was given brought up to date in place.
 * No clock, no random numbers, no I/O: the same events at the same times give the same commands.
 * An event costs what it changes: nothing here walks over all batches or all shards.
 */
export function decide(farm: FarmState, event: FarmEvent, nowMs: number): FarmCommand[] {
  const commands: FarmCommand[] = []
  apply(farm, event, nowMs, commands)
  fill(farm, nowMs, commands)
  return commands
}

function apply(farm: FarmState, event: FarmEvent, nowMs: number, commands: FarmCommand[]): void {
  switch (event.type) {
    case 'batchOpened':
      return openBatch(farm, event, commands)
    case 'segmentPlanned':
      return addSegment(farm, event, commands)
    case 'shardDispatched':
      return confirmDispatch(farm, event, nowMs, commands)
    case 'shardEnded':
      return endShard(farm, event, nowMs, commands)
    case 'attemptFailed': {
      const found = findShard(farm, event.batchId, event.shardId)
      if (found?.shard.attempt === event.attempt)
        blame(farm, found.batch, found.shard, 'attempt_failed', event.message, commands)
      return
    }
    case 'workerSeen':
      return seeWorker(farm, event.worker, nowMs, commands)
    case 'workerDetached':
      return detachWorker(farm, event.workerId, nowMs)
    case 'cancelRequested': {
      const batch = farm.batches.get(event.batchId)
      if (batch !== undefined) cancelBatch(farm, batch, commands)
      return
    }
    case 'queueLost':
      for (const shard of [...farm.unowned].toReversed())
        redispatch(farm, farm.batches.get(shard.batchId)!, shard, 'queue_lost', commands)
      return
    case 'batchFinished':
      return finishBatch(farm, event.batchId)
    case 'tick':
      checkLeases(farm, nowMs, commands)
      return checkUnowned(farm, nowMs, commands)
  }
}
