import type { FarmCommand, FarmEvent, SegmentSummary } from './messages.ts'
import { addCounts, noCounts } from './counts.ts'
import { moveShard } from './state.ts'
import type { FarmState, OpenBatch, ShardResult } from './state.ts'
import { addTally } from './tally.ts'

type EventOf<T extends FarmEvent['type']> = Extract<FarmEvent, { type: T }>

export function openBatch(farm: FarmState, event: EventOf<'batchOpened'>, commands: FarmCommand[]): void {
  if (farm.batches.has(event.batch.id)) return
  const batch: OpenBatch = {
    ...event.batch,
    state: 'queued',
    segmentCount: event.segmentCount,
    nextSegment: 0,
    isPlanning: false,
    ready: [],
    open: new Map(),
    endedShards: 0,
    ...noCounts(),
    schedulers: new Map(),
    startedAtMs: event.startedAtMs,
    rateSinceMs: null,
    recent: [],
  }
  farm.batches.set(batch.id, batch)
  for (const segment of event.segments) takeSegment(batch, segment)
  if (event.isCancelled || event.segments.at(-1)?.isClosed === true) return cancelBatch(farm, batch, commands)
  settle(farm, batch, commands)
}

/** Another plan of the same segment, by another leader or a repeated effect, is the same plan: the stored one counts. */
export function addSegment(farm: FarmState, event: EventOf<'segmentPlanned'>, commands: FarmCommand[]): void {
  const batch = farm.batches.get(event.batchId)
  if (batch === undefined || !batch.isPlanning || event.segment !== batch.nextSegment) return
  batch.isPlanning = false
  farm.planning--
  takeSegment(batch, event.summary)
  if (batch.state === 'cancelling' || event.summary.isClosed === true) return cancelBatch(farm, batch, commands)
  settle(farm, batch, commands)
}

/**
 * Ends what is open with records of its own; what is being planned is ended when its plan is there. The plan is closed, so that
 * another who believes that he leads can begin nothing of the batch any more.
 */
export function cancelBatch(farm: FarmState, batch: OpenBatch, commands: FarmCommand[]): void {
  if (batch.state === 'finalizing') return
  batch.state = 'cancelling'
  batch.ready = []
  for (const shard of batch.open.values()) {
    if (shard.state === 'ending') continue
    const { id: shardId, attempt, itemCount, workerId, sequence } = shard
    if (workerId !== null) commands.push({ type: 'cancelOnWorker', workerId, batchId: batch.id, shardId, attempt })
    if (sequence !== null) commands.push({ type: 'withdraw', sequence })
    moveShard(farm, shard, 'ending')
    commands.push({
      type: 'endShard',
      batchId: batch.id,
      shardId,
      attempt,
      kind: 'cancelled',
      itemCount,
      message: 'the batch was cancelled',
    })
  }
  if (!batch.isPlanning && batch.nextSegment < batch.segmentCount) {
    batch.isPlanning = true
    farm.planning++
    commands.push({
      type: 'planSegment',
      batchId: batch.id,
      segment: batch.nextSegment,
      workers: farm.taking.size,
      isClosing: true,
    })
  }
  settle(farm, batch, commands)
}

export function finishBatch(farm: FarmState, batchId: string): void {
  farm.batches.delete(batchId)
  farm.ring.delete(batchId)
}

/** After a change of what a batch has to do: gives it its turn, or ends it, and has its watchers told. */
export function settle(farm: FarmState, batch: OpenBatch, commands: FarmCommand[]): void {
  giveTurn(farm, batch)
  if (
    batch.nextSegment === batch.segmentCount &&
    batch.open.size === 0 &&
    !batch.isPlanning &&
    batch.state !== 'finalizing'
  ) {
    commands.push({ type: 'finalize', batchId: batch.id, isCancelled: batch.state === 'cancelling' })
    batch.state = 'finalizing'
  }
  commands.push({ type: 'changed', batchId: batch.id })
}

/** Keeps its place in the ring, takes one at the end, or leaves it. */
export function giveTurn(farm: FarmState, batch: OpenBatch): void {
  if (hasWork(batch)) farm.ring.add(batch.id)
  else farm.ring.delete(batch.id)
}

export function hasWork(batch: OpenBatch): boolean {
  if (batch.state !== 'queued' && batch.state !== 'running') return false
  return batch.ready.length > 0 || (batch.nextSegment < batch.segmentCount && !batch.isPlanning)
}

export function tally(batch: OpenBatch, result: ShardResult): void {
  batch.endedShards++
  addCounts(batch, result)
  for (const tally of result.schedulers) addTally(batch.schedulers, tally)
}

function takeSegment(batch: OpenBatch, { shards, ended, isClosed }: SegmentSummary): void {
  batch.nextSegment = isClosed === true ? batch.segmentCount : batch.nextSegment + 1
  for (const summary of shards) {
    batch.open.set(summary.id, {
      ...summary,
      batchId: batch.id,
      state: 'planned',
      attempt: 0,
      failures: 0,
      workerId: null,
      sequence: null,
      unownedSinceMs: 0,
    })
    batch.ready.push(summary.id)
  }
  for (const result of ended) tally(batch, result)
  if (batch.state === 'queued') batch.state = 'running'
}
