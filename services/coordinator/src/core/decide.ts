import { checkAudits, endAudit } from './audit.ts'
import {
  addSegment,
  approveBatch,
  cancelBatch,
  changeDeadline,
  changePriority,
  finishBatch,
  openBatch,
  pauseBatch,
  resumeBatch,
} from './batch-life.ts'
import { changeTenant } from './fairness.ts'
import { fill } from './fill.ts'
import { checkHedges, dropHedge, settleHedge } from './hedge.ts'
import { cancelItems, pauseItems, resumeItems } from './item-life.ts'
import type { BatchChange, FarmCommand, FarmEvent } from './messages.ts'
import { takeOutlook } from './outlook.ts'
import { blameDifferent, forgive } from './quarantine.ts'
import { blame, noteFailed, redispatch, wakeRested } from './retry.ts'
import { confirmDispatch, endShard } from './shard-life.ts'
import { findShard, shardKey } from './state.ts'
import type { FarmState, OpenBatch } from './state.ts'
import { helpStragglers } from './stragglers.ts'
import { checkLeases, checkUnowned, detachWorker, seeWorker } from './worker-life.ts'

/**
 * The coordinator's mind: `(state, event, now) → commands`, with the state that it was given brought up to date in place.
 * No clock, no random numbers, no I/O: the same events at the same times give the same commands.
 * An event costs what it changes: nothing here walks over all batches or all shards.
 */
export function decide(farm: FarmState, event: FarmEvent, nowMs: number): FarmCommand[] {
  const commands: FarmCommand[] = []
  const { placings } = farm
  apply(farm, event, nowMs, commands)
  // Most heartbeats change nothing that a worker could be given more for.
  const isNews = event.type !== 'workerSeen' || commands.length > 0 || farm.placings > placings
  if (isNews) fill(farm, nowMs, commands)
  return commands
}

function apply(farm: FarmState, event: FarmEvent, nowMs: number, commands: FarmCommand[]): void {
  switch (event.type) {
    case 'batchOpened':
      return openBatch(farm, event, nowMs, commands)
    case 'segmentPlanned':
      return addSegment(farm, event, nowMs, commands)
    case 'shardDispatched':
      return confirmDispatch(farm, event, nowMs, commands)
    case 'shardEnded':
      return endShard(farm, event, nowMs, commands)
    case 'attemptFailed': {
      const found = findShard(farm, event.batchId, event.shardId)
      if (found === null) return
      const { batch, shard } = found
      // Leaders number attempts on their own: of the same number there may be one of another worker.
      const isOf = (workerId: string | null): boolean => event.workerId === undefined || event.workerId === workerId
      // A second attempt's failure leaves the first one to go on.
      if (shard.hedge?.attempt === event.attempt && isOf(shard.hedge.workerId)) {
        noteFailed(shard, shard.hedge.workerId, 'attempt_failed')
        settleHedge(farm, shard, null, nowMs)
        return dropHedge(farm, shard, commands)
      }
      const { message, mayBeAnItem = false } = event
      if (shard.attempt === event.attempt && isOf(shard.assignedTo))
        blame(farm, batch, shard, { reason: 'attempt_failed', message, mayBeAnItem }, nowMs, commands)
      return
    }
    case 'auditDispatched': {
      const audit = farm.audits.get(shardKey(event.batchId, event.shardId))
      if (audit === undefined) commands.push({ type: 'withdraw', sequence: event.sequence })
      else audit.sequence = event.sequence
      return
    }
    case 'auditEnded':
      return endAudit(farm, shardKey(event.batchId, event.shardId))
    case 'resultsDiffered':
      return blameDifferent(farm, event.workerId, event.otherId, nowMs, commands)
    case 'workerSeen':
      return seeWorker(farm, event.worker, nowMs, commands)
    case 'workerDetached':
      return detachWorker(farm, event.workerId, nowMs, commands)
    case 'cancelRequested':
    case 'batchPriorityChanged':
    case 'batchDeadlineChanged':
    case 'batchPaused':
    case 'batchResumed':
    case 'batchApproved':
    case 'itemsCancelled':
    case 'itemsPaused':
    case 'itemsResumed': {
      const batch = farm.batches.get(event.batchId)
      if (batch !== undefined) change(farm, batch, event, nowMs, commands)
      return
    }
    case 'tenantChanged':
      return changeTenant(farm, event.tenant, event.terms)
    case 'queueLost':
      for (const shard of [...farm.unowned].toReversed())
        redispatch(farm, farm.batches.get(shard.batchId)!, shard, 'queue_lost', nowMs, commands)
      return
    case 'batchFinished':
      return finishBatch(farm, event.batchId)
    case 'tick':
      forgive(farm, nowMs, commands)
      checkLeases(farm, nowMs, commands)
      checkUnowned(farm, nowMs, commands)
      checkHedges(farm, nowMs, commands)
      checkAudits(farm, nowMs, commands)
      wakeRested(farm, nowMs)
      farm.outlook = takeOutlook(farm, nowMs)
      return helpStragglers(farm, nowMs, commands)
  }
}

function change(farm: FarmState, batch: OpenBatch, event: BatchChange, nowMs: number, commands: FarmCommand[]): void {
  switch (event.type) {
    case 'cancelRequested':
      return cancelBatch(farm, batch, commands)
    case 'batchPriorityChanged':
      return changePriority(farm, batch, event.priority, nowMs, commands)
    case 'batchDeadlineChanged':
      return changeDeadline(batch, event.completeByMs, commands)
    case 'batchPaused':
      return pauseBatch(farm, batch, commands)
    case 'batchResumed':
      return resumeBatch(farm, batch, nowMs, commands)
    case 'batchApproved':
      return approveBatch(farm, batch, nowMs, commands)
    case 'itemsCancelled':
      return cancelItems(farm, batch, event.items, nowMs, commands)
    case 'itemsPaused':
      return pauseItems(farm, batch, event.items, commands)
    case 'itemsResumed':
      return resumeItems(farm, batch, event.items, nowMs, commands)
  }
}
