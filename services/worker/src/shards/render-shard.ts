import { DarkroomError } from '@darkroom/chassis'
import type { ObjectStore } from '@darkroom/chassis'
import { isTaskName } from '@darkroom/diffusion'
import { imageName, keys } from '@darkroom/proto'
import type { Item, ItemResult, RenderedImage, ShardAssignment } from '@darkroom/proto'
import { createHash } from 'node:crypto'
import type { Engine } from '../engine/engine.ts'
import type { RenderRequest } from '../engine/messages.ts'
import type { WorkerEvents } from '../events.ts'
import { encodePng } from './encode-png.ts'
import type { Limit } from './limit.ts'

export interface RenderParts {
  readonly engine: Engine
  readonly store: ObjectStore
  readonly events: WorkerEvents
  readonly uploads: Limit
}

/** Renders and uploads every image of a shard. An item that cannot be rendered fails alone; anything else fails the attempt. */
export async function renderShard(
  parts: RenderParts,
  assignment: ShardAssignment,
  signal: AbortSignal,
  onJob: (job: number) => void,
): Promise<ItemResult[]> {
  return Promise.all(
    assignment.items.map(async (item): Promise<ItemResult> => {
      const { index, customId } = item
      try {
        return await renderItem(parts, assignment, item, signal, onJob)
      } catch (reason) {
        const error = DarkroomError.from(reason)
        if (error.code !== 'RENDER_FAILED') throw error
        parts.events.itemFailed(assignment, index, error.code, error.message)
        return { index, customId, state: 'failed', code: error.code, message: error.message }
      }
    }),
  )
}

async function renderItem(
  parts: RenderParts,
  assignment: ShardAssignment,
  item: Item,
  signal: AbortSignal,
  onJob: (job: number) => void,
): Promise<ItemResult> {
  const numbers = Array.from({ length: item.numImages }, (_, n) => n)
  const rendered = await Promise.all(numbers.map((n) => renderImage(parts, assignment, item, n, signal, onJob)))
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
  assignment: ShardAssignment,
  item: Item,
  n: number,
  signal: AbortSignal,
  onJob: (job: number) => void,
): Promise<{ image: RenderedImage; seconds: number; warnings: readonly string[] }> {
  const seed = Number(item.seed) + n
  const result = await engine.render(assignment.checkpoint, requestOf(item, seed), signal, onJob)
  events.imageRendered(item.scheduler, assignment.checkpoint, item.task, result.seconds)
  const started = performance.now()
  const png = await encodePng(result)
  events.stageTaken('encode', (performance.now() - started) / 1000)
  const sha256 = createHash('sha256').update(png).digest('hex')
  const name = imageName(item.index, n, sha256, 'png')
  await uploads.run(async () => {
    const start = performance.now()
    await store.put(keys.image(assignment.batchId, name), png, { contentType: 'image/png' })
    events.stageTaken('upload', (performance.now() - start) / 1000)
  })
  const { width, height } = result
  return {
    image: { n, seed, name, sha256, bytes: png.length, width, height },
    seconds: result.seconds,
    warnings: result.warnings,
  }
}

function requestOf(item: Item, seed: number): RenderRequest {
  if (!isTaskName(item.task))
    throw new DarkroomError('RENDER_FAILED', `this worker does not know the task '${item.task}'`)
  return {
    task: item.task,
    prompt: item.prompt,
    negativePrompt: item.negativePrompt,
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
