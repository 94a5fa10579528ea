import { CANCELLED, keys, readShard } from '@darkroom/proto'
import type { CommitRecord, ItemResult, PlannedShard, PlanSegment } from '@darkroom/proto'
import type { ObjectStore } from '@darkroom/chassis'

/** Where an item is. */
export type ItemState = 'queued' | 'running' | 'rendered' | 'failed' | 'cancelled'

/** What became of an item, or where it waits. */
export interface Outcome {
  readonly state: ItemState
  readonly shardId: string | null
  /** Where it was rendered or failed. */
  readonly result:
    | ItemResult
    | { readonly state: 'failed' | 'cancelled'; readonly code: string; readonly message: string }
    | null
}

/** What the bucket does not tell of a batch. */
export interface Standing {
  readonly runningShards: ReadonlySet<string>
  /** Whether what is not planned yet never will be. */
  readonly isCancelled: boolean
}

const RECORDS_AT_ONCE = 16

/** The outcomes of some items of one segment, from its plan and the commit records of their shards. */
export async function readOutcomes(
  store: ObjectStore,
  batchId: string,
  segment: number,
  indices: readonly number[],
  standing: Standing,
): Promise<readonly Outcome[]> {
  const plan = await store.getJson<PlanSegment>(keys.planSegment(batchId, segment))
  if (plan === null || plan.isClosed === true) {
    const unplanned: Outcome = standing.isCancelled
      ? { state: 'cancelled', shardId: null, result: CANCELLED }
      : { state: 'queued', shardId: null, result: null }
    return indices.map(() => unplanned)
  }
  const shardOf = new Map<number, PlannedShard>()
  for (const shard of plan.shards) for (const index of shard.items) shardOf.set(index, shard)
  const shards = [...new Set(indices.map((index) => shardOf.get(index)!))]
  const found = new Map<number, Outcome>()
  for (let i = 0; i < shards.length; i += RECORDS_AT_ONCE) {
    const some = shards.slice(i, i + RECORDS_AT_ONCE)
    await Promise.all(
      some.map(async (shard) => {
        // What a half says of an item supersedes what the whole says.
        for (const one of await readShard(shard, (id) => store.getJson<CommitRecord>(keys.result(batchId, id))))
          for (const [index, outcome] of outcomesOf(one.shard, one.record, standing)) found.set(index, outcome)
      }),
    )
  }
  return indices.map((index) => found.get(index)!)
}

function outcomesOf(shard: PlannedShard, record: CommitRecord | null, standing: Standing): Map<number, Outcome> {
  const all = (state: ItemState, result: Outcome['result']): Map<number, Outcome> =>
    new Map(shard.items.map((index) => [index, { state, shardId: shard.id, result }]))
  switch (record?.kind) {
    case 'rendered':
      return new Map(record.items.map((result) => [result.index, { state: result.state, shardId: shard.id, result }]))
    case 'failed':
      return all('failed', { state: 'failed', code: record.code, message: record.message })
    case 'cancelled':
      return all('cancelled', CANCELLED)
    default:
      return all(standing.runningShards.has(shard.id) ? 'running' : 'queued', null)
  }
}
