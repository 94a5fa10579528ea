import type { ObjectStore } from '@darkroom/chassis'
import { halfIdsOf, imageName, keys, OUTPUT_FORMATS, parseOutputFormat } from '@darkroom/proto'
import type { CommitRecord, ItemLine, ItemResult, PlannedShard, PlanSegment, RenderedImage } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { forEachAtOnce } from '../at-once.ts'
import type { Audit } from './audit.ts'

const IMAGES_AT_ONCE = 8

/** Each item of the segment is in exactly one shard, among its like. */
export function verifyPlan(plan: PlanSegment, items: ReadonlyMap<number, ItemLine>, audit: Audit): void {
  const seen = new Set<number>()
  for (const shard of plan.shards) {
    for (const index of shard.items) {
      audit.check(!seen.has(index), `I1: item ${index} is planned twice`)
      seen.add(index)
      const item = items.get(index)
      if (item === undefined) {
        audit.violate(`I1: shard ${shard.id} plans item ${index}, which its segment does not have`)
        continue
      }
      const isAlike =
        item.checkpoint === shard.checkpoint &&
        item.task === shard.task &&
        item.width === shard.width &&
        item.height === shard.height
      audit.check(isAlike, `I4: item ${index} is in shard ${shard.id} of another checkpoint, task or size`)
    }
  }
  for (const index of items.keys())
    audit.check(seen.has(index), `I1: item ${index} is in no shard of its segment's plan`)
}

/** The one commit record of a shard, or of a half of one, covers its items; what it commits is there. */
export async function verifyShard(
  store: ObjectStore,
  batchId: string,
  { shard, record }: { readonly shard: PlannedShard; readonly record: CommitRecord | null },
  items: ReadonlyMap<number, ItemLine>,
  audit: Audit,
): Promise<void> {
  audit.shards++
  if (record === null) return audit.violate(`I4: shard ${shard.id} has no commit record`)
  audit.check(
    record.shardId === shard.id && record.batchId === batchId,
    `I4: the record of shard ${shard.id} names ${record.batchId}/${record.shardId}`,
  )
  if (record.kind === 'split') return verifySplit(shard, record.into, audit)
  if (record.kind !== 'rendered') {
    audit.check(
      record.itemCount === shard.items.length,
      `I4: the record of shard ${shard.id} ends ${record.itemCount} items, the shard has ${shard.items.length}`,
    )
    audit.counts[record.kind] += record.itemCount
    return
  }
  audit.check(
    record.checkpoint === shard.checkpoint,
    `I4: shard ${shard.id} was rendered with ${record.checkpoint}, not ${shard.checkpoint}`,
  )
  const sorted = (indices: readonly number[]): string => indices.toSorted((a, b) => a - b).join()
  audit.check(
    sorted(record.items.map(({ index }) => index)) === sorted(shard.items),
    `I4: the record of shard ${shard.id} covers other items than it was given`,
  )
  for (const item of record.items) {
    audit.counts[item.state]++
    if (item.state === 'rendered') verifyItem(item, items.get(item.index), audit)
  }
  const images = record.items.flatMap((item) => (item.state === 'rendered' ? item.images : []))
  await forEachAtOnce(images, IMAGES_AT_ONCE, (image) => verifyImage(store, batchId, image, audit))
}

/** Its halves are verified like any other shard. */
function verifySplit(shard: PlannedShard, into: readonly string[], audit: Audit): void {
  audit.check(shard.items.length > 1, `I4: shard ${shard.id} has ${shard.items.length} items and was split`)
  audit.check(halfIdsOf(shard.id).join() === into.join(), `I4: shard ${shard.id} was split into ${into.join(' and ')}`)
}

function verifyItem(
  result: Extract<ItemResult, { state: 'rendered' }>,
  item: ItemLine | undefined,
  audit: Audit,
): void {
  const { index, images, failedImages = [] } = result
  if (item === undefined) return
  const isAsked =
    result.customId === item.customId &&
    result.scheduler === item.scheduler &&
    result.numInferenceSteps === item.numInferenceSteps
  audit.check(isAsked, `I3: item ${index} was rendered under another customId, scheduler or number of steps`)
  audit.images += images.length
  audit.imagesFailed += failedImages.length
  audit.check(
    images.length > 0 && images.length + failedImages.length === item.numImages,
    `I3: item ${index} has ${images.length} images and ${failedImages.length} failed ones, ${item.numImages} were asked for`,
  )
  const { extension } = OUTPUT_FORMATS[parseOutputFormat(item.outputFormat ?? '') ?? 'png']
  const seen = new Set<number>()
  for (const { n, seed } of [...images, ...failedImages]) {
    audit.check(
      n >= 0 && n < item.numImages && !seen.has(n) && seed === item.seed + n,
      `I3: an image of item ${index} has number ${n} and seed ${seed}`,
    )
    seen.add(n)
  }
  for (const { n, sha256, name } of images) {
    audit.check(
      name === imageName(index, n, sha256, extension),
      `I3: ${name} does not name its item, number, hash and format`,
    )
  }
}

async function verifyImage(store: ObjectStore, batchId: string, image: RenderedImage, audit: Audit): Promise<void> {
  const bytes = await store.get(keys.image(batchId, image.name))
  if (bytes === null) return audit.violate(`I3: ${image.name} is committed but not there`)
  const isSame = bytes.length === image.bytes && createHash('sha256').update(bytes).digest('hex') === image.sha256
  audit.check(isSame, `I3: ${image.name} has other bytes than were committed`)
}
