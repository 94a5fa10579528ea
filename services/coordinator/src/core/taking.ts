import { WorkerState } from '@darkroom/proto'
import { dropHedge } from './hedge.ts'
import type { FarmCommand } from './messages.ts'
import { redispatch } from './retry.ts'
import { placeWorker } from './slots.ts'
import type { AttachedWorker, FarmState } from './state.ts'

const NOT_TAKING: readonly WorkerState[] = [WorkerState.STARTING, WorkerState.DRAINING, WorkerState.LOST]

/** After a change of a worker's state, its stream or its good name: whether it is given work. */
export function updateTaking(farm: FarmState, worker: AttachedWorker): void {
  const { id, detachedAtMs, snapshot } = worker
  const isTaking = detachedAtMs === null && !NOT_TAKING.includes(snapshot.state) && !farm.suspects.quarantined.has(id)
  if (isTaking) farm.taking.add(id)
  else farm.taking.delete(id)
  placeWorker(farm, worker)
}

/** What a worker that takes nothing any more was given and has not taken is for others. */
export function takeBack(farm: FarmState, worker: AttachedWorker, nowMs: number, commands: FarmCommand[]): void {
  for (const shard of [...worker.assigned].toReversed()) {
    if (shard.assignedTo !== worker.id) {
      if (shard.hedge?.isTaken === false) dropHedge(farm, shard, commands)
    } else if (shard.workerId === null)
      redispatch(farm, farm.batches.get(shard.batchId)!, shard, 'worker_left', nowMs, commands)
  }
}
