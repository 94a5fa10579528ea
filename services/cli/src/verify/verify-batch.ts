import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { keys, readShard } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, DoneDocument, PlanSegment } from '@darkroom/proto'
import { Audit } from './audit.ts'
import { verifyFiles } from './verify-files.ts'
import { readSegments } from './verify-input.ts'
import { verifyPlan, verifyShard } from './verify-shard.ts'

export interface VerifyReport {
  readonly batchId: string
  /** Sentences that begin with the invariant, name the object and say what is wrong. */
  readonly violations: readonly string[]
  readonly counts: { readonly rendered: number; readonly failed: number; readonly cancelled: number }
  readonly checked: { readonly items: number; readonly images: number; readonly shards: number }
}

/**
 * Reads nothing but the bucket and proves of an ended batch: I1 every accepted item is in exactly one terminal state and the
 * counts add up; I3 every committed image is there once with the bytes that its name says; I4 every planned shard has exactly
 * one commit record, which covers exactly its items.
 * @throws DarkroomError NOT_FOUND for a batch that is not there or not ended
 */
export async function verifyBatch(store: ObjectStore, batchId: string): Promise<VerifyReport> {
  const batch = await store.getJson<BatchDocument>(keys.batch(batchId))
  if (batch === null)
    throw new DarkroomError('NOT_FOUND', `no batch ${batchId} in this bucket: darkroom list shows what there is`)
  const done = await store.getJson<DoneDocument>(keys.done(batchId))
  if (done === null)
    throw new DarkroomError('NOT_FOUND', `batch ${batchId} has not ended: darkroom watch ${batchId} waits for it`)
  const audit = new Audit()
  const known = new Set<string>()
  let unplannedItems = 0
  for await (const { segment, lines } of readSegments(store, batch, audit)) {
    const plan = await store.getJson<PlanSegment>(keys.planSegment(batchId, segment))
    if (plan === null || plan.isClosed === true) {
      audit.check(done.state === 'cancelled', `I1: segment ${segment} of a completed batch has no plan`)
      unplannedItems += lines.length
      continue
    }
    const items = new Map(lines.map((line) => [line.index, line]))
    verifyPlan(plan, items, audit)
    for (const planned of plan.shards) {
      audit.check(!known.has(keys.result(batchId, planned.id)), `I4: shard ${planned.id} is planned twice`)
      const readRecord = (id: string): Promise<CommitRecord | null> => store.getJson(keys.result(batchId, id))
      for (const ended of await readShard(planned, readRecord)) {
        known.add(keys.result(batchId, ended.shard.id))
        await verifyShard(store, batchId, ended, items, audit)
      }
    }
  }
  audit.counts.cancelled += unplannedItems
  for await (const { key } of store.list(keys.resultFolder(batchId)))
    audit.check(known.has(key), `I4: ${key} belongs to no planned shard`)
  const { rendered, failed, cancelled } = audit.counts
  audit.check(
    rendered + failed + cancelled === batch.itemCount,
    `I1: ${rendered} rendered + ${failed} failed + ${cancelled} cancelled is not ${batch.itemCount} items`,
  )
  await verifyFiles(store, batchId, done, unplannedItems, audit)
  const { violations, counts, items, images, shards } = audit
  return { batchId, violations, counts, checked: { items, images, shards } }
}
