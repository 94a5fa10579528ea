import { DarkroomError } from '@darkroom/chassis'
import { includesItem, keys } from '@darkroom/proto'
import type { BatchDocument, DoneDocument, ItemRanges } from '@darkroom/proto'
import { termsOf } from '../auth/tenants.ts'
import type { GatewayContext } from '../context.ts'
import { askForImages, giveImagesBack } from '../ingest/daily-images.ts'
import type { AskedImages, TellQuota } from '../ingest/daily-images.ts'
import { noteEndToTell, writeBatch } from '../ingest/claim.ts'
import { ImageCount } from '../ingest/image-count.ts'
import { PartWriter } from '../ingest/part-writer.ts'
import { readItemPage } from '../items/item-page.ts'
import { createBatchId } from './batch-id.ts'

const NOT_RENDERED = ['failed', 'cancelled'] as const
const PAGE_ITEMS = 1_000

interface Retry {
  readonly traceparent: string
  readonly now: Date
  readonly tellQuota: TellQuota
  /** Only these; null: all. */
  readonly items: ItemRanges | null
}

/**
 * Accepts a batch of the items of an ended one that were not rendered, each as it was: the same seed, the same picture.
 * Whatever goes wrong on the way, nothing of it stays.
 * @throws DarkroomError CONFLICT where the batch has not ended or has no such items; TOO_MANY_REQUESTS; STORE_UNAVAILABLE
 */
export async function retryBatch(
  { store, config }: GatewayContext,
  source: BatchDocument,
  { traceparent, now, tellQuota, items }: Retry,
): Promise<BatchDocument> {
  const done = await store.getJson<DoneDocument>(keys.done(source.id))
  if (done === null) throw new DarkroomError('CONFLICT', `batch ${source.id} has not ended: retry what it leaves then`)
  const id = createBatchId(now)
  const parts = new PartWriter(store, id)
  const { imagesPerDay } = termsOf(config.tenants, source.tenant)
  let asked: AskedImages | null = null
  try {
    const { itemCount, images, checkpoints } = await copyItems(store, source, done, parts, items)
    if (itemCount === 0)
      throw new DarkroomError(
        'CONFLICT',
        `every item of batch ${source.id}${items === null ? '' : ` that is named`} was rendered: there is nothing to retry`,
      )
    // Somebody has seen the first of its items, or nobody ever will; and its time may be up.
    const { approveAfter: _, expiresAt: __, ...kept } = source
    const document: BatchDocument = {
      ...kept,
      id,
      createdAt: now.toISOString(),
      itemCount,
      ...images.fields,
      checkpoints: [...checkpoints],
      parts: await parts.finish(),
      traceparent,
      retryOf: source.id,
    }
    if (imagesPerDay !== null) {
      asked = { tenant: source.tenant, id, images: document.imageCount, now }
      await askForImages(store, imagesPerDay, asked, tellQuota)
    }
    await noteEndToTell(store, document)
    await writeBatch(store, document)
    return document
  } catch (reason) {
    await store.delete(keys.batch(id))
    await store.delete(keys.webhookPending(id))
    await parts.discard()
    if (asked !== null) await giveImagesBack(store, asked)
    throw reason
  }
}

async function copyItems(
  store: GatewayContext['store'],
  source: BatchDocument,
  { state }: DoneDocument,
  parts: PartWriter,
  wanted: ItemRanges | null,
): Promise<{ itemCount: number; images: ImageCount; checkpoints: ReadonlySet<string> }> {
  const standing = { runningShards: new Set<string>(), isCancelled: state === 'cancelled' }
  const checkpoints = new Set<string>()
  const images = new ImageCount()
  let itemCount = 0
  for (let from: number | null = 0; from !== null;) {
    const query = { from, limit: PAGE_ITEMS, states: NOT_RENDERED }
    const page = await readItemPage(store, source, standing, query)
    for (const { line } of page.entries) {
      if (wanted !== null && !includesItem(wanted, line.index)) continue
      parts.append(`${JSON.stringify({ ...line, index: itemCount++ })}\n`)
      images.add(line)
      checkpoints.add(line.checkpoint)
      if (line.refiner !== undefined && line.refiner !== '') checkpoints.add(line.refiner)
      if (parts.isFull) await parts.flush()
    }
    from = page.nextIndex
  }
  return { itemCount, images, checkpoints }
}
