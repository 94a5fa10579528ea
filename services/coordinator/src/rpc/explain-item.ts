import { DarkroomError } from '@darkroom/chassis'
import type { ServiceImpl } from '@darkroom/chassis'
import { halvesOf, SEGMENT_ITEMS } from '@darkroom/proto'
import type { CoordinatorService, PlannedShard } from '@darkroom/proto'
import { SYSTEM_CLOCK } from '../clock.ts'
import { explainPlanned, explainUnplanned } from '../core/explain.ts'
import type { OpenBatch } from '../core/state.ts'
import type { RpcContext } from './context.ts'

export function explainItem({
  leadership,
  batches,
}: RpcContext): ServiceImpl<typeof CoordinatorService>['explainItem'] {
  return async ({ batchId, item }) => {
    const farm = await leadership.farm()
    const { batch: known } = await batches.view(farm, batchId)
    if (item >= known.itemCount)
      throw new DarkroomError('NOT_FOUND', `batch ${batchId} has ${known.itemCount} items, and none of index ${item}`)
    const batch = farm.state.batches.get(batchId)
    if (batch === undefined) return { reason: 'ended', message: 'its batch has ended', remedy: '', shardId: '' }
    const nowMs = SYSTEM_CLOCK.nowMs()
    const segment = Math.floor(item / SEGMENT_ITEMS)
    const plan = segment < batch.nextSegment ? await farm.reader.plan(batchId, segment) : null
    if (plan === null) return { ...explainUnplanned(farm.state, batch, item, nowMs), shardId: '' }
    const shardId = openShardOf(batch, plan.shards, item)
    const shard = shardId === null ? undefined : batch.open.get(shardId)
    if (shard === undefined)
      return { reason: 'ended', message: 'it has ended: the items of its batch say how', remedy: '', shardId: '' }
    return { ...explainPlanned(farm.state, batch, shard, item, nowMs), shardId: shard.id }
  }
}

/** The shard, or the half of one, that an item is in, as long as that is open. */
function openShardOf(batch: OpenBatch, shards: readonly PlannedShard[], item: number): string | null {
  const shard = shards.find(({ items }) => items.includes(item))
  if (shard === undefined) return null
  if (batch.open.has(shard.id)) return shard.id
  return shard.items.length < 2 ? null : openShardOf(batch, halvesOf(shard), item)
}
