import { create, fromJson } from '@bufbuild/protobuf'
import { traceparentNow } from '@darkroom/chassis'
import { includesItem, ItemSchema, rangesOf, rangesToMessages, ShardAssignmentSchema } from '@darkroom/proto'
import type { ItemRanges, ShardAssignment } from '@darkroom/proto'
import type { BatchReader } from './planner/batch-reader.ts'

/** What a worker is given for an attempt: the items of its shard, from the bucket. @throws DarkroomError NOT_FOUND */
export async function assignmentOf(
  reader: BatchReader,
  {
    batchId,
    shardId,
    attempt,
    failedAttempts = 0,
  }: {
    readonly batchId: string
    readonly shardId: string
    readonly attempt: number
    readonly failedAttempts?: number
  },
  cancelledItems: ItemRanges,
  isAudit = false,
): Promise<ShardAssignment> {
  const [batch, items] = await Promise.all([reader.batch(batchId), reader.shardItems(batchId, shardId)])
  const cancelled = items.filter(({ index }) => includesItem(cancelledItems, index))
  return create(ShardAssignmentSchema, {
    batchId,
    shardId,
    attempt,
    failedAttempts,
    checkpoint: items[0]!.checkpoint,
    items: items.map((item) => fromJson(ItemSchema, item as unknown as Parameters<typeof fromJson>[1])),
    traceparent: traceparentNow() ?? batch.traceparent,
    isAudit,
    cancelledItems: rangesToMessages(rangesOf(cancelled.map(({ index }) => index))),
    isInteractive: batch.isInteractive ?? false,
  })
}
