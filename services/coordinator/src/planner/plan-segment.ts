import type { ObjectStore } from '@darkroom/chassis'
import { keys, rangesOf, SEGMENT_ITEMS } from '@darkroom/proto'
import type { ItemLine, PlannedShard, PlanSegment } from '@darkroom/proto'
import type { FarmCommand, SegmentSummary } from '../core/messages.ts'
import type { ShardSummary } from '../core/state.ts'
import { itemsOf, segmentCountOf } from './batch-reader.ts'
import type { BatchReader } from './batch-reader.ts'
import { workOf } from './cost-model.ts'
import type { CostModel } from './cost-model.ts'
import { cutShards } from './cut-shards.ts'

/**
 * Plans a segment, or closes the plan there, and stores that before anything of it is dispatched. Where a plan is stored already
 * (another leader's, or our own before a restart) that one counts.
 */
export async function planSegment(
  {
    store,
    reader,
    model,
    targetSeconds,
  }: { store: ObjectStore; reader: BatchReader; model: CostModel; targetSeconds: number },
  { batchId, segment, workers, isClosing }: Omit<Extract<FarmCommand, { type: 'planSegment' }>, 'type'>,
): Promise<SegmentSummary> {
  const batch = await reader.batch(batchId)
  const items = await reader.items(batchId, segment)
  const isLast = segment === segmentCountOf(batch) - 1
  const firstItem = segment * SEGMENT_ITEMS
  const { approveAfter } = batch
  const options = { segment, targetSeconds, workers, isLast, ...(approveAfter !== undefined && { approveAfter }) }
  const shards = isClosing ? [] : cutShards(items, model, options)
  const place = { batchId, segment, firstItem, itemCount: items.length }
  const plan: PlanSegment = { ...place, shards, ...(isClosing && { isClosed: true }) }
  const key = keys.planSegment(batchId, segment)
  const outcome = await store.putIfAbsent(key, JSON.stringify(plan), { contentType: 'application/json' })
  const stored = outcome === 'created' ? plan : (await store.getJson<PlanSegment>(key))!
  const summaries = stored.shards.map((shard) => summarise(shard, itemsOf(shard, items, stored)))
  return { shards: summaries, ended: [], ...(stored.isClosed === true && { isClosed: true }) }
}

/** @param itemsOfIt in its order */
export function summarise({ id, checkpoint, items }: PlannedShard, itemsOfIt: readonly ItemLine[]): ShardSummary {
  return { id, items: rangesOf(items), itemCount: items.length, checkpoint, work: workOf(itemsOfIt) }
}
