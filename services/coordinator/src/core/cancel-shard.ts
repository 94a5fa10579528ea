import { CANCELLED, commonRanges, countItems } from '@darkroom/proto'
import { removeReady } from './backlog.ts'
import { dropHedge } from './hedge.ts'
import type { FarmCommand } from './messages.ts'
import { moveShard } from './move-shard.ts'
import type { FarmState, OpenBatch, OpenShard } from './state.ts'

/** Ends a shard with a record of the coordinator's own, unless it is ending. */
export function cancelShard(farm: FarmState, shard: OpenShard, commands: FarmCommand[]): void {
  if (shard.state === 'ending') return
  dropHedge(farm, shard, commands)
  const { batchId, id: shardId, attempt, failures: failedAttempts, itemCount, workerId, sequence } = shard
  if (workerId !== null) commands.push({ type: 'cancelOnWorker', workerId, batchId, shardId, attempt })
  if (sequence !== null) commands.push({ type: 'withdraw', sequence })
  moveShard(farm, shard, 'ending')
  const { message } = CANCELLED
  commands.push({ type: 'endShard', batchId, shardId, attempt, failedAttempts, kind: 'cancelled', itemCount, message })
}

/** Ends a shard of which nothing is to be rendered. @returns whether it is at its end */
export function endIfCancelled(farm: FarmState, batch: OpenBatch, shard: OpenShard, commands: FarmCommand[]): boolean {
  if (shard.state === 'ending') return true
  if (countItems(commonRanges(batch.cancelledItems, shard.items)) < shard.itemCount) return false
  if (shard.state === 'planned') removeReady(batch, shard)
  cancelShard(farm, shard, commands)
  return true
}

/** Tells a worker that has a shard what of it is not wanted. */
export function tellCancelled(
  { cancelledItems }: OpenBatch,
  { batchId, id: shardId, items }: OpenShard,
  workerId: string,
  commands: FarmCommand[],
): void {
  const cancelled = commonRanges(cancelledItems, items)
  if (cancelled.length > 0) commands.push({ type: 'cancelItemsOnWorker', workerId, batchId, shardId, items: cancelled })
}
