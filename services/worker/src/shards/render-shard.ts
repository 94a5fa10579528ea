import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { isTaskName } from '@darkroom/diffusion'
import { imageName, keys } from '@darkroom/proto'
import type { Item, ItemResult, RenderedImage } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import type { Engine } from '../engine/engine.ts'
import type { RenderRequest } from '../engine/messages.ts'
import type { WorkerEvents } from '../events.ts'
import { encodePng } from './encode-png.ts'
import type { HeldShard } from './held-shard.ts'
import { insist } from './insist.ts'
import type { Limit } from './limit.ts'

export interface RenderParts {
  readonly engine: Engine
  readonly store: ObjectStore
  readonly events: WorkerEvents
  readonly uploads: Limit
}

/** Renders and uploads every image of a shard. An item that cannot be rendered fails alone; anything else fails the attempt. */
export async function renderShard(parts: RenderParts, shard: HeldShard): Promise<ItemResult[]> {
  return Promise.all(
    shard.assignment.items.map(async (item): Promise<ItemResult> => {
      const { index, customId } = item
      try {
        return await renderItem(parts, shard, item)
      } catch (reason) {
        const { code, message } = DarkroomError.from(reason)
        if (code !== 'RENDER_FAILED') throw reason
        parts.events.itemFailed(shard.assignment, index, code, message)
        return { index, customId, state: 'failed', code, message }
      }
    }),
  )
}

async function renderItem(parts: RenderParts, shard: HeldShard, item: Item): Promise<ItemResult> {
  const numbers = Array.from({ length: item.numImages }, (_, n) => n)
  const rendered = await Promise.all(numbers.map((n) => renderImage(parts, shard, item, n)))
  return {
    index: item.index,
    customId: item.customId,
    state: 'rendered',
    scheduler: item.scheduler,
    numInferenceSteps: item.numInferenceSteps,
    images: rendered.map(({ image }) => image),
    seconds: rendered.reduce((sum, { seconds }) => sum + seconds, 0),
    warnings: rendered[0]!.warnings,
  }
}

async function renderImage(
  { engine, store, events, uploads }: RenderParts,
  shard: HeldShard,
  item: Item,
  n: number,
): Promise<{ image: RenderedImage; seconds: number; warnings: readonly string[] }> {
  const { batchId, checkpoint } = shard.assignment
  const seed = Number(item.seed) + n
  const result = await engine.render(checkpoint, requestOf(item, seed), shard.signal, {
    started: (job) => shard.addJob(job),
  })
  events.imageRendered(item.scheduler, checkpoint, item.task, result.seconds)
  const encodeStart = performance.now()
  const png = await encodePng(result.picture)
  events.stageTaken('encode', (performance.now() - encodeStart) / 1000)
  const sha256 = createHash('sha256').update(png).digest('hex')
  const name = imageName(item.index, n, sha256, 'png')
  await uploads.run(async () => {
    const start = performance.now()
    await insist(shard.signal, () => store.put(keys.image(batchId, name), png, { contentType: 'image/png' }))
    events.stageTaken('upload', (performance.now() - start) / 1000)
  })
  const { width, height } = result.picture
  return {
    image: { n, seed, name, sha256, bytes: png.length, width, height },
    seconds: result.seconds,
    warnings: result.warnings,
  }
}

function requestOf(item: Item, seed: number): RenderRequest {
  if (!isTaskName(item.task)) {
    throw new DarkroomError('RENDER_FAILED', `this worker does not know the task '${item.task}'`)
  }
  return {
    task: item.task,
    prompt: item.prompt,
    negativePrompt: item.negativePrompt,
    safetyChecker: true,
    width: item.width,
    height: item.height,
    scheduler: item.scheduler,
    schedulerConfig: item.schedulerConfig ?? {},
    numInferenceSteps: item.numInferenceSteps,
    guidanceScale: item.guidanceScale,
    eta: item.eta,
    seed,
  }
}
