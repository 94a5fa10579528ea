import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { findPlanned, keys, SEGMENT_ITEMS } from '@darkroom/proto'
import type { BatchDocument, CheckpointManifest, ItemLine, Pin, PlannedShard, PlanSegment } from '@darkroom/proto'

const CACHED_SEGMENTS = 8

export function segmentCountOf(batch: BatchDocument): number {
  return Math.ceil(batch.itemCount / SEGMENT_ITEMS)
}

/** Of a segment's items, those of one of its shards, in its order. */
export function itemsOf(
  shard: PlannedShard,
  items: readonly ItemLine[],
  { firstItem }: Pick<PlanSegment, 'firstItem'>,
): readonly ItemLine[] {
  return shard.items.map((index) => items[index - firstItem]!)
}

/** Reads a batch's documents, the last few segments from memory. */
export class BatchReader {
  readonly #store: ObjectStore
  readonly #batches = new Map<string, BatchDocument>()
  readonly #manifests = new Map<string, CheckpointManifest>()
  readonly #segments = new Map<string, Promise<{ items: readonly ItemLine[]; plan: PlanSegment | null }>>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** @throws DarkroomError NOT_FOUND */
  async batch(batchId: string): Promise<BatchDocument> {
    const known = this.#batches.get(batchId)
    if (known !== undefined) return known
    const batch = await this.#store.getJson<BatchDocument>(keys.batch(batchId))
    if (batch === null) throw new DarkroomError('NOT_FOUND', `no batch ${batchId}`)
    this.#batches.set(batchId, batch)
    return batch
  }

  /** Of a checkpoint; it never changes. Null where there is none, or none yet. */
  async manifest({ name, hex }: Pin): Promise<CheckpointManifest | null> {
    const key = keys.checkpointManifest(name, hex)
    const known = this.#manifests.get(key) ?? (await this.#store.getJson<CheckpointManifest>(key))
    if (known !== null) this.#manifests.set(key, known)
    return known
  }

  /** One ranged read: input parts end at multiples of a segment. */
  async items(batchId: string, segment: number): Promise<readonly ItemLine[]> {
    const batch = await this.batch(batchId)
    const first = segment * SEGMENT_ITEMS
    const part = batch.parts.findLast(({ firstItem }) => firstItem <= first)
    if (part === undefined || first >= batch.itemCount)
      throw new DarkroomError('NOT_FOUND', `batch ${batchId} has no segment ${segment}`)
    const inPart = (first - part.firstItem) / SEGMENT_ITEMS
    const start = part.segmentOffsets[inPart]!
    const end = (part.segmentOffsets[inPart + 1] ?? part.bytes) - 1
    const bytes = await this.#store.getRange(part.key, start, end)
    const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as ItemLine)
  }

  /** The items of a planned shard, or of a half of one, in its order. @throws DarkroomError NOT_FOUND */
  async shardItems(batchId: string, shardId: string): Promise<readonly ItemLine[]> {
    const segment = Number(shardId.split('-')[0])
    const { items, plan } = await this.#segment(batchId, segment)
    const shard = await this.shard(batchId, shardId)
    return itemsOf(shard, items, plan!)
  }

  /** @throws DarkroomError NOT_FOUND */
  async shard(batchId: string, shardId: string): Promise<PlannedShard> {
    const { plan } = await this.#segment(batchId, Number(shardId.split('-')[0]))
    const shard = findPlanned(plan?.shards ?? [], shardId)
    if (shard === null) throw new DarkroomError('NOT_FOUND', `batch ${batchId} has no shard ${shardId}`)
    return shard
  }

  async plan(batchId: string, segment: number): Promise<PlanSegment | null> {
    return this.#store.getJson<PlanSegment>(keys.planSegment(batchId, segment))
  }

  forget(batchId: string): void {
    this.#batches.delete(batchId)
    for (const key of this.#segments.keys()) if (key.startsWith(`${batchId}/`)) this.#segments.delete(key)
  }

  #segment(batchId: string, segment: number): Promise<{ items: readonly ItemLine[]; plan: PlanSegment | null }> {
    const key = `${batchId}/${segment}`
    let reading = this.#segments.get(key)
    if (reading === undefined) {
      reading = Promise.all([this.items(batchId, segment), this.plan(batchId, segment)]).then(([items, plan]) => ({
        items,
        plan,
      }))
      this.#segments.set(key, reading)
      reading.catch(() => this.#segments.delete(key))
      if (this.#segments.size > CACHED_SEGMENTS) this.#segments.delete(this.#segments.keys().next().value!)
    }
    return reading
  }
}
