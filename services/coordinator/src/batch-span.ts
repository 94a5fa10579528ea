import { inSpan, SpanKind } from '@darkroom/chassis'
import type { BatchReader } from './planner/batch-reader.ts'

/** What is done for a batch, as a span of the trace that its submission began. @throws DarkroomError NOT_FOUND; what `work` throws */
export async function inBatchSpan<T>(
  reader: BatchReader,
  name: string,
  { batchId, shardId, workerId }: { readonly batchId: string; readonly shardId?: string; readonly workerId?: string },
  work: () => Promise<T>,
): Promise<T> {
  const { traceparent: parent } = await reader.batch(batchId)
  const attributes = {
    'darkroom.batch.id': batchId,
    ...(shardId !== undefined && { 'darkroom.shard.id': shardId }),
    ...(workerId !== undefined && { 'darkroom.worker.id': workerId }),
  }
  return inSpan(
    name,
    { kind: workerId === undefined ? SpanKind.INTERNAL : SpanKind.PRODUCER, parent, attributes },
    work,
  )
}
