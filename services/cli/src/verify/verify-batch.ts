import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { imageName, keys, SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument, CommitRecord, DoneDocument, ItemLine, PlannedShard, PlanSegment } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { verifyFiles } from './verify-files.ts'

export interface VerifyReport {
  readonly batchId: string
  /** Sentences that name the invariant, the object and what is wrong. */
  readonly violations: readonly string[]
  readonly counts: { readonly rendered: number; readonly failed: number; readonly cancelled: number }
  readonly checked: { readonly items: number; readonly images: number; readonly shards: number }
}

/** The audit's notebook. */
export class Audit {
  readonly violations: string[] = []
  readonly counts = { rendered: 0, failed: 0, cancelled: 0 }
  images = 0
  shards = 0

  violate(sentence: string): void {
    this.violations.push(sentence)
  }
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
  const segments = Math.ceil(batch.itemCount / SEGMENT_ITEMS)
  const known = new Set<string>()
  let items = 0
  for (let segment = 0; segment < segments; segment++) {
    const plan = await store.getJson<PlanSegment>(keys.planSegment(batchId, segment))
    const lines = await readItems(store, batch, segment, audit)
    items += lines.length
    if (plan === null) {
      if (done.state === 'completed') audit.violate(`I1: segment ${segment} of a completed batch has no plan`)
      audit.counts.cancelled += lines.length
      continue
    }
    verifyPlan(plan, lines, audit)
    for (const shard of plan.shards) {
      known.add(keys.result(batchId, shard.id))
      await verifyShard(store, batch, shard, lines, segment * SEGMENT_ITEMS, audit)
    }
  }
  if (items !== batch.itemCount)
    audit.violate(`I1: batch.json says ${batch.itemCount} items, the input parts hold ${items}`)
  for await (const { key } of store.list(keys.resultFolder(batchId))) {
    if (!known.has(key)) audit.violate(`I4: ${key} belongs to no planned shard`)
  }
  const { rendered, failed, cancelled } = audit.counts
  if (rendered + failed + cancelled !== batch.itemCount)
    audit.violate(
      `I1: ${rendered} rendered + ${failed} failed + ${cancelled} cancelled is not ${batch.itemCount} items`,
    )
  await verifyFiles(store, batch, done, audit)
  return {
    batchId,
    violations: audit.violations,
    counts: audit.counts,
    checked: { items, images: audit.images, shards: audit.shards },
  }
}

/** The items of one segment, their order and their names checked. */
async function readItems(store: ObjectStore, batch: BatchDocument, segment: number, audit: Audit): Promise<ItemLine[]> {
  const first = segment * SEGMENT_ITEMS
  const part = batch.parts.findLast(({ firstItem }) => firstItem <= first)
  if (part === undefined) {
    audit.violate(`I1: no input part holds item ${first}`)
    return []
  }
  const inPart = (first - part.firstItem) / SEGMENT_ITEMS
  const start = part.segmentOffsets[inPart] ?? 0
  const end = (part.segmentOffsets[inPart + 1] ?? part.bytes) - 1
  const text = Buffer.from(await store.getRange(part.key, start, end)).toString('utf8')
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ItemLine)
  for (const [i, { index }] of lines.entries())
    if (index !== first + i) audit.violate(`I1: ${part.key} has item ${index} where ${first + i} belongs`)
  return lines
}

function verifyPlan(plan: PlanSegment, lines: readonly ItemLine[], audit: Audit): void {
  const seen = new Set<number>()
  for (const shard of plan.shards) {
    for (const index of shard.items) {
      if (seen.has(index)) audit.violate(`I1: item ${index} is planned twice`)
      seen.add(index)
    }
  }
  for (const { index } of lines)
    if (!seen.has(index)) audit.violate(`I1: item ${index} is in no shard of its segment's plan`)
  if (seen.size !== lines.length)
    audit.violate(`I1: segment ${plan.segment} plans ${seen.size} items, its input holds ${lines.length}`)
}

async function verifyShard(
  store: ObjectStore,
  batch: BatchDocument,
  shard: PlannedShard,
  lines: readonly ItemLine[],
  first: number,
  audit: Audit,
): Promise<void> {
  audit.shards++
  const record = await store.getJson<CommitRecord>(keys.result(batch.id, shard.id))
  if (record === null) return audit.violate(`I4: shard ${shard.id} has no commit record`)
  if (record.shardId !== shard.id || record.batchId !== batch.id)
    audit.violate(`I4: the record of shard ${shard.id} names ${record.batchId}/${record.shardId}`)
  if (record.kind === 'split') return audit.violate(`I4: shard ${shard.id} was split, which this version does not do`)
  if (record.kind !== 'rendered') {
    audit.counts[record.kind] += shard.items.length
    return
  }
  const covered = record.items.map(({ index }) => index).toSorted((a, b) => a - b)
  if (covered.join() !== shard.items.toSorted((a, b) => a - b).join())
    audit.violate(`I4: the record of shard ${shard.id} covers other items than it was given`)
  for (const item of record.items) {
    audit.counts[item.state]++
    if (item.state === 'failed') continue
    const wanted = lines[item.index - first]
    if (wanted === undefined || item.images.length !== wanted.numImages)
      audit.violate(`I3: item ${item.index} has ${item.images.length} images, not ${wanted?.numImages ?? 0}`)
    for (const [n, image] of item.images.entries()) {
      audit.images++
      if (image.n !== n || image.seed !== (wanted?.seed ?? 0) + n)
        audit.violate(`I3: image ${n} of item ${item.index} has number ${image.n} and seed ${image.seed}`)
      if (image.name !== imageName(item.index, n, image.sha256, image.name.split('.').at(-1)!))
        audit.violate(`I3: ${image.name} does not name its item, number and hash`)
      const bytes = await store.get(keys.image(batch.id, image.name))
      if (bytes === null) audit.violate(`I3: ${image.name} is committed but not there`)
      else if (createHash('sha256').update(bytes).digest('hex') !== image.sha256)
        audit.violate(`I3: ${image.name} has other bytes than were committed`)
    }
  }
}
