import { DarkroomError, inSpan } from '@darkroom/chassis'
import type { Limit, ObjectStore } from '@darkroom/chassis'
import { imageName, keys, OUTPUT_FORMATS } from '@darkroom/proto'
import type { Item, ItemResult, OutputFormat } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import { encodePicture } from '../encoding/encode-picture.ts'
import type { PngEncoder } from '../encoding/png-encoder.ts'
import type { Engine } from '../engine/engine.ts'
import type { RenderedPicture, RenderRequest, RenderState } from '../engine/messages.ts'
import type { WorkerEvents } from '../events.ts'
import type { ImageId, PreviewOutbox } from '../link/preview-outbox.ts'
import { stepsOf } from './held-shard.ts'
import type { HeldShard } from './held-shard.ts'
import { insist } from './insist.ts'
import { cancelledItem, failedImage, failedItem, itemResultOf } from './item-result.ts'
import type { FinishedImage } from './item-result.ts'
import type { PictureShelf } from './picture-shelf.ts'
import { provenanceOf } from './provenance.ts'
import { formatOf, itemPicturesOf, pictureKeysOf, requestOf } from './request-of.ts'
import type { ItemPictures } from './request-of.ts'
import { placeOf } from './shard-progress.ts'

export interface RenderParts {
  readonly engine: Engine
  readonly store: ObjectStore
  readonly events: WorkerEvents
  readonly uploads: Limit
  /** Images of batches from their begin until they are uploaded: where the object store is slow, the engine waits for it. */
  readonly unsent: Limit
  readonly pictures: PictureShelf
  readonly previews: PreviewOutbox
  readonly png: PngEncoder
}

/**
 * Renders and uploads every image of a shard. What cannot be rendered fails alone, an image or an item; anything else fails the
 * attempt. What somebody cancels on the way ends as cancelled. Items with most steps begin first, so that the shard's last calls are still full.
 * @returns the items' results in their order in the batch
 */
export async function renderShard(parts: RenderParts, shard: HeldShard): Promise<ItemResult[]> {
  const results = await Promise.all(
    longestFirst(shard.assignment.items).map(async (item): Promise<ItemResult> => {
      const result = await renderItem(parts, shard, item).catch((reason: unknown) =>
        shard.isCancelled(item.index) ? cancelledItem(item) : failedItem(item, reason),
      )
      if (result.state === 'failed')
        parts.events.itemFailed(shard.assignment, result.index, result.code, result.message)
      return result
    }),
  )
  return results.toSorted((a, b) => a.index - b.index)
}

function longestFirst(items: readonly Item[]): Item[] {
  return items.toSorted((a, b) => stepsOf(b) - stepsOf(a))
}

async function renderItem(parts: RenderParts, shard: HeldShard, item: Item): Promise<ItemResult> {
  shard.itemSignal(item.index).throwIfAborted()
  using held = new DisposableStack()
  const pictures = itemPicturesOf(held.use(await parts.pictures.hold(pictureKeysOf(item), shard.signal)).pictures)
  const outcomes = Array.from({ length: item.numImages }, (_, n) =>
    renderImage(parts, shard, item, n, pictures).catch((reason: unknown) => failedImage(item, n, reason)),
  )
  // Where one of them fails the attempt, the others are still at work on the pictures.
  const working = held.move()
  void Promise.allSettled(outcomes).then(() => working.dispose())
  const result = itemResultOf(item, await Promise.all(outcomes))
  if (result.state === 'rendered' && result.failedImages !== undefined)
    parts.events.imagesFailed(shard.assignment, item.index, result.failedImages)
  return result
}

async function renderImage(
  parts: RenderParts,
  shard: HeldShard,
  item: Item,
  n: number,
  pictures: ItemPictures,
): Promise<FinishedImage> {
  const place = placeOf(item.index, n)
  const finished = shard.finished.get(place)
  if (finished !== undefined) return finished
  const format = formatOf(item)
  const id = { batchId: shard.assignment.batchId, item: item.index, image: n }
  const { checkpoint, isInteractive } = shard.assignment
  const request = { ...requestOf(item, n, pictures), isInteractive }
  const render = async (): Promise<FinishedImage> => {
    const result = await inSpan('render image', { attributes: traceOf(item, n) }, () =>
      renderResumed(parts, shard, request, id),
    )
    parts.events.imageRendered(item.scheduler, checkpoint, item.task, result)
    return shard.store(place, storePicture(parts, shard, { item, n, format }, result))
  }
  return isInteractive ? render() : parts.unsent.run(render)
}

function traceOf({ index, scheduler }: Item, n: number) {
  return { 'darkroom.item': index, 'darkroom.image': n, 'darkroom.scheduler': scheduler }
}

async function storePicture(
  parts: RenderParts,
  shard: HeldShard,
  { item, n, format }: { readonly item: Item; readonly n: number; readonly format: OutputFormat },
  result: RenderedPicture,
): Promise<FinishedImage> {
  const { store, events, uploads } = parts
  const { batchId, isInteractive } = shard.assignment
  const encodeStart = performance.now()
  const texts = provenanceOf(item, n, parts.engine.settings)
  const file = await inSpan('encode picture', { attributes: { 'darkroom.format': format } }, () =>
    encodePicture(parts.png, result.picture, format, texts),
  )
  events.stageTaken('encode', (performance.now() - encodeStart) / 1000)
  const sha256 = createHash('sha256').update(file).digest('hex')
  const { contentType, extension } = OUTPUT_FORMATS[format]
  const name = imageName(item.index, n, sha256, extension)
  await uploads.run(async () => {
    const start = performance.now()
    await insist(shard.signal, () => store.put(keys.image(batchId, name), file, { contentType }))
    events.stageTaken('upload', (performance.now() - start) / 1000)
  }, isInteractive)
  const { width, height } = result.picture
  const judged = result.isFlagged === null ? {} : { nsfwContentDetected: result.isFlagged }
  return {
    image: { n, seed: Number(item.seed) + n, name, sha256, bytes: file.length, width, height, ...judged },
    steps: result.steps,
    seconds: result.seconds,
    warnings: result.warnings,
  }
}

/** Renders an image from where another attempt stopped; from its beginning where it cannot go on from there. */
async function renderResumed(
  parts: RenderParts,
  shard: HeldShard,
  request: RenderRequest,
  id: ImageId,
): Promise<RenderedPicture> {
  const place = placeOf(id.item, id.image)
  const state = shard.begun.get(place)
  if (state === undefined) return renderWatched(parts, shard, request, id)
  try {
    return await renderWatched(parts, shard, request, id, state)
  } catch (reason) {
    if (DarkroomError.from(reason).code !== 'RENDER_FAILED') throw reason
    parts.events.progressIgnored(shard.assignment, 'unfit')
    shard.begun.delete(place)
    return renderWatched(parts, shard, request, id)
  }
}

/** Renders an image; where its item asks for previews, they go to whoever watches until it is done. */
async function renderWatched(
  { engine, previews }: RenderParts,
  shard: HeldShard,
  request: RenderRequest,
  id: ImageId,
  resumeFrom?: RenderState,
): Promise<RenderedPicture> {
  const { shardId } = shard.assignment
  try {
    return await engine.render(shard.assignment.checkpoint, request, shard.itemSignal(id.item), {
      started: (job) => shard.addJob(job, placeOf(id.item, id.image)),
      ...(resumeFrom !== undefined && { resumeFrom }),
      ...(request.preview !== undefined && {
        previewed: (preview) => previews.offer({ ...id, shardId, preview }),
      }),
    })
  } finally {
    previews.forget(id)
  }
}
