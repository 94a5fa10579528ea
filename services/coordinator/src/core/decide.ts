import type { Worker } from '@darkroom/proto'
import type { FarmCommand, FarmEvent, RedispatchReason } from './messages.ts'
import { moveShard, shardKey } from './state.ts'
import type { FarmState, OpenBatch, OpenShard, ShardResult } from './state.ts'

const RATE_WINDOW_MS = 60_000

/**
 * The coordinator's mind: `(state, event, now) → commands`, with the state that it was given brought up to date in place.
 * No clock, no random numbers, no I/O: the same events at the same times give the same commands.
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
      return addShards(farm, event, commands)
    case 'planningFailed': {
      const batch = farm.batches.get(event.batchId)
      if (batch !== undefined) batch.isPlanning = false
      return
    }
    case 'shardDispatched':
      return confirmDispatch(farm, event, nowMs, commands)
    case 'dispatchFailed': {
      const found = find(farm, event.batchId, event.shardId)
      if (found?.shard.state === 'dispatching' && found.shard.attempt === event.attempt) {
        moveShard(farm, found.shard, 'planned')
        found.batch.ready.unshift(event.shardId)
      }
      return
    }
    case 'shardEnded':
      return endShard(farm, event, nowMs, commands)
    case 'attemptFailed': {
      const found = find(farm, event.batchId, event.shardId)
      if (found !== null && found.shard.attempt === event.attempt)
        blame(farm, found.batch, found.shard, 'attempt_failed', event.message, commands)
      return
    }
    case 'workerSeen':
      return seeWorker(farm, event.worker, nowMs, commands)
    case 'workerGone':
      return loseWorker(farm, event.workerId, commands)
    case 'cancelRequested': {
      const batch = farm.batches.get(event.batchId)
      if (batch !== undefined) cancel(farm, batch, commands)
      return
    }
    case 'queueLost':
      return everyShard(farm, (batch, shard) => {
        if (shard.state === 'dispatched' && shard.workerId === null) again(farm, batch, shard, 'queue_lost', commands)
      })
    case 'batchFinished':
      if (!farm.batches.delete(event.batchId)) return
      farm.ring.splice(farm.ring.indexOf(event.batchId), 1)
      return
    case 'tick':
      return tick(farm, nowMs, commands)
  }
}

function find(farm: FarmState, batchId: string, shardId: string): { batch: OpenBatch; shard: OpenShard } | null {
  const batch = farm.batches.get(batchId)
  const shard = batch?.open.get(shardId)
  return batch === undefined || shard === undefined ? null : { batch, shard }
}

function everyShard(farm: FarmState, visit: (batch: OpenBatch, shard: OpenShard) => void): void {
  for (const batch of farm.batches.values()) for (const shard of batch.open.values()) visit(batch, shard)
}

function openBatch(farm: FarmState, event: Extract<FarmEvent, { type: 'batchOpened' }>, commands: FarmCommand[]): void {
  if (farm.batches.has(event.batch.id)) return
  const batch: OpenBatch = {
    ...event.batch,
    state: event.isCancelled ? 'cancelling' : 'queued',
    segmentCount: event.segmentCount,
    nextSegment: 0,
    isPlanning: false,
    plannedItems: 0,
    ready: [],
    open: new Map(),
    endedShards: 0,
    rendered: 0,
    failed: 0,
    cancelled: 0,
    images: 0,
    schedulers: new Map(),
    startedAtMs: null,
    recent: [],
  }
  farm.batches.set(batch.id, batch)
  farm.ring.push(batch.id)
  commands.push({ type: 'changed', batchId: batch.id })
}

function addShards(
  farm: FarmState,
  event: Extract<FarmEvent, { type: 'segmentPlanned' }>,
  commands: FarmCommand[],
): void {
  const batch = farm.batches.get(event.batchId)
  if (batch === undefined || event.segment !== batch.nextSegment) return
  batch.isPlanning = false
  batch.nextSegment++
  batch.plannedItems += event.itemCount
  for (const summary of event.shards) {
    batch.open.set(summary.id, {
      ...summary,
      state: 'planned',
      attempt: 0,
      failures: 0,
      lastError: '',
      workerId: null,
      sequence: null,
      unownedSinceMs: 0,
    })
    batch.ready.push(summary.id)
  }
  // Found at recovery: these shards have their records already.
  for (const result of event.ended) tally(batch, result)
  if (batch.state === 'queued') batch.state = 'running'
  if (batch.state === 'cancelling') cancel(farm, batch, commands)
  commands.push({ type: 'changed', batchId: batch.id })
}

function confirmDispatch(
  farm: FarmState,
  event: Extract<FarmEvent, { type: 'shardDispatched' }>,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const found = find(farm, event.batchId, event.shardId)
  if (found === null || found.shard.state !== 'dispatching' || found.shard.attempt !== event.attempt) {
    // It ended or was cancelled while its message was on the way.
    commands.push({ type: 'withdraw', sequence: event.sequence })
    return
  }
  const { batch, shard } = found
  moveShard(farm, shard, 'dispatched')
  shard.sequence = event.sequence
  shard.unownedSinceMs = nowMs
  batch.startedAtMs ??= nowMs
}

function endShard(
  farm: FarmState,
  event: Extract<FarmEvent, { type: 'shardEnded' }>,
  nowMs: number,
  commands: FarmCommand[],
): void {
  const found = find(farm, event.batchId, event.shardId)
  if (found === null) return
  const { batch, shard } = found
  const { result } = event
  if (shard.state !== 'ending') {
    if (shard.sequence !== null && shard.workerId === null)
      commands.push({ type: 'withdraw', sequence: shard.sequence })
    moveShard(farm, shard, 'ending')
  }
  batch.open.delete(shard.id)
  batch.ready = batch.ready.filter((id) => id !== shard.id)
  batch.recent.push({ atMs: nowMs, images: result.images })
  tally(batch, result)
  commands.push({ type: 'changed', batchId: batch.id })
}

function tally(batch: OpenBatch, result: ShardResult): void {
  batch.endedShards++
  batch.rendered += result.rendered
  batch.failed += result.failed
  batch.cancelled += result.cancelled
  batch.images += result.images
  for (const { scheduler, images, steps, seconds } of result.schedulers) {
    const sum = batch.schedulers.get(scheduler) ?? { images: 0, steps: 0, seconds: 0 }
    batch.schedulers.set(scheduler, {
      images: sum.images + images,
      steps: sum.steps + steps,
      seconds: sum.seconds + seconds,
    })
  }
}

/** Another attempt, or the end for a shard that has failed too often. */
function blame(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  reason: RedispatchReason,
  message: string,
  commands: FarmCommand[],
): void {
  if (shard.state !== 'dispatched' && shard.state !== 'dispatching') return
  shard.failures++
  shard.lastError = message
  if (shard.failures < farm.settings.maxFailures) return again(farm, batch, shard, reason, commands)
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  moveShard(farm, shard, 'ending')
  const { id: shardId, attempt, itemCount } = shard
  commands.push({
    type: 'endShard',
    batchId: batch.id,
    shardId,
    attempt,
    kind: 'failed',
    itemCount,
    message: `${shard.failures} attempts failed; the last: ${message}`,
  })
}

/** Back to the front of its batch's queue; the old message must not reach anybody any more. */
function again(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  reason: RedispatchReason,
  commands: FarmCommand[],
): void {
  if (shard.sequence !== null) commands.push({ type: 'withdraw', sequence: shard.sequence })
  moveShard(farm, shard, 'planned')
  shard.sequence = null
  shard.workerId = null
  batch.ready.unshift(shard.id)
  commands.push({ type: 'redispatched', reason })
}

function seeWorker(farm: FarmState, snapshot: Worker, nowMs: number, commands: FarmCommand[]): void {
  const before = farm.workers.get(snapshot.id)
  const running = new Set(snapshot.running.map(({ batchId, shardId }) => shardKey(batchId, shardId)))
  farm.workers.set(snapshot.id, { id: snapshot.id, snapshot, seenAtMs: nowMs, running })
  for (const { batchId, shardId, attempt } of snapshot.running) {
    const found = find(farm, batchId, shardId)
    // Ended elsewhere, or of a batch that is closed: the worker need not go on.
    if (found === null || found.shard.state === 'ending') {
      if (farm.batches.get(batchId)?.isPlanning !== true && nowMs >= farm.dispatchFromMs)
        commands.push({ type: 'cancelOnWorker', workerId: snapshot.id, batchId, shardId, attempt })
      continue
    }
    adopt(farm, found.batch, found.shard, snapshot.id, attempt, nowMs)
  }
  for (const key of before?.running ?? []) {
    if (running.has(key)) continue
    const [batchId, shardId] = key.split('/') as [string, string]
    const shard = find(farm, batchId, shardId)?.shard
    if (shard?.workerId === snapshot.id) {
      shard.workerId = null
      shard.unownedSinceMs = nowMs
    }
  }
}

/** A worker holds the shard: after a take-over it may be one that this coordinator has not dispatched itself. */
function adopt(
  farm: FarmState,
  batch: OpenBatch,
  shard: OpenShard,
  workerId: string,
  attempt: number,
  nowMs: number,
): void {
  if (shard.state === 'planned' && attempt >= shard.attempt) {
    moveShard(farm, shard, 'dispatching')
    moveShard(farm, shard, 'dispatched')
    batch.ready = batch.ready.filter((id) => id !== shard.id)
    batch.startedAtMs ??= nowMs
    shard.attempt = attempt
  }
  if (shard.state === 'dispatched' && shard.attempt === attempt) shard.workerId = workerId
}

function loseWorker(farm: FarmState, workerId: string, commands: FarmCommand[]): void {
  const worker = farm.workers.get(workerId)
  if (worker === undefined) return
  farm.workers.delete(workerId)
  for (const key of worker.running) {
    const [batchId, shardId] = key.split('/') as [string, string]
    const found = find(farm, batchId, shardId)
    if (found?.shard.workerId === workerId)
      blame(farm, found.batch, found.shard, 'worker_lost', `worker ${workerId} was lost`, commands)
  }
}

function cancel(farm: FarmState, batch: OpenBatch, commands: FarmCommand[]): void {
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
  commands.push({ type: 'changed', batchId: batch.id })
}

function tick(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  const { workerLeaseMs, unownedMs, window } = farm.settings
  for (const worker of farm.workers.values())
    if (nowMs - worker.seenAtMs > workerLeaseMs) loseWorker(farm, worker.id, commands)
  const hasRoom = farm.workers.values().some((worker) => worker.running.size < window)
  everyShard(farm, (batch, shard) => {
    const isLost = shard.state === 'dispatched' && shard.workerId === null && nowMs - shard.unownedSinceMs > unownedMs
    if (isLost && hasRoom) again(farm, batch, shard, 'unowned', commands)
  })
  for (const batch of farm.batches.values())
    batch.recent = batch.recent.filter(({ atMs }) => nowMs - atMs < RATE_WINDOW_MS)
}

/** Dispatches while workers have room, one shard of each open batch in turn; plans ahead where a batch runs out; ends what is done. */
function fill(farm: FarmState, nowMs: number, commands: FarmCommand[]): void {
  let room = nowMs < farm.dispatchFromMs ? 0 : farm.workers.size * farm.settings.window - farm.outstanding
  for (let idle = 0; room > 0 && idle < farm.ring.length;) {
    const batchId = farm.ring.shift()!
    farm.ring.push(batchId)
    const batch = farm.batches.get(batchId)!
    const shardId = batch.ready.shift()
    if (shardId === undefined) {
      idle++
      continue
    }
    const shard = batch.open.get(shardId)!
    moveShard(farm, shard, 'dispatching')
    shard.attempt++
    commands.push({ type: 'dispatch', batchId, shardId, attempt: shard.attempt })
    idle = 0
    room--
  }
  for (const batch of farm.batches.values()) {
    const wantsPlan = room > 0 && batch.ready.length === 0 && batch.nextSegment < batch.segmentCount
    if (wantsPlan && !batch.isPlanning && (batch.state === 'queued' || batch.state === 'running')) {
      batch.isPlanning = true
      commands.push({ type: 'planSegment', batchId: batch.id, segment: batch.nextSegment, workers: farm.workers.size })
    }
    const isDone =
      batch.open.size === 0 &&
      !batch.isPlanning &&
      (batch.state === 'cancelling' || batch.nextSegment === batch.segmentCount)
    if (isDone && batch.state !== 'finalizing') {
      const isCancelled = batch.state === 'cancelling'
      batch.state = 'finalizing'
      commands.push({ type: 'finalize', batchId: batch.id, isCancelled }, { type: 'changed', batchId: batch.id })
    }
  }
}
