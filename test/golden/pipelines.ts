import { decodePicture } from '@darkroom/chassis'
import { defaultSize, isTaskName } from '@darkroom/diffusion'
import type { DepthMap, Raster } from '@darkroom/diffusion'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describeFolder } from '../../services/worker/src/engine/describe-folder.ts'
import { Engine } from '../../services/worker/src/engine/engine.ts'
import type { RenderRequest } from '../../services/worker/src/engine/messages.ts'
import { encodePng } from '../../services/worker/src/encoding/encode-png.ts'
import { camelKeys } from './denoise-batch.ts'
import { decodeFloat32 } from './float32.ts'
import { readJson } from './read-json.ts'

interface PipelineCase {
  readonly name: string
  readonly checkpoint: string
  readonly task: string
  /** Fields by diffusers' names. */
  readonly request: Readonly<Record<string, unknown>> & {
    readonly prompt?: string
    readonly negative_prompt?: string | null
    readonly depth_map?: string
    readonly refiner?: string
    readonly scheduler: Readonly<Record<string, unknown>>
  }
}

export interface RenderedCase {
  readonly name: string
  readonly file: string | null
  /** What the safety checker said; null where there is none. */
  readonly nsfw: boolean | null
  readonly error: string | null
}

/** Fields that are the request's own by another spelling, as numbers or lists of them. */
const PLAIN_FIELDS = [
  'num_inference_steps',
  'guidance_scale',
  'guidance_rescale',
  'eta',
  'seed',
  'width',
  'height',
  'strength',
  'timesteps',
  'sigmas',
  'original_inference_steps',
  'padding_mask_crop',
  'max_sequence_length',
  'denoising_start',
  'denoising_end',
  'original_size',
  'crops_coords_top_left',
  'target_size',
  'aesthetic_score',
  'negative_aesthetic_score',
]
const FIELDS = new Set([
  ...PLAIN_FIELDS,
  'prompt',
  'negative_prompt',
  'scheduler',
  'image',
  'mask_image',
  'depth_map',
  'refiner',
])

/** Renders each case of DIR/pipelines.json through the worker's engine to OUT_DIR/<index>.png and lists them in index.json. */
export async function runPipelines(directory: string, output: string): Promise<void> {
  mkdirSync(output, { recursive: true })
  const { cases } = readJson(path.join(directory, 'pipelines.json')) as { cases: PipelineCase[] }
  await using engine = await Engine.start(
    { device: 'cpu', deviceOrdinal: 0, cudaLibraryPath: [], threads: 1, maxRows: 8, shapes: 'auto' },
    { ticked() {}, stageTaken() {}, died: (reason) => console.error(reason) },
  )
  const loads = new Map<string, Promise<void>>()
  const load = (folder: string): Promise<void> => {
    const loading = loads.get(folder) ?? engine.load(folder, folder)
    loads.set(folder, loading)
    return loading
  }
  const { signal } = new AbortController()
  const index = await Promise.all(
    cases.map(async (one, i): Promise<RenderedCase> => {
      try {
        const folder = path.resolve(directory, one.checkpoint)
        const request = await requestOf(one, directory, folder)
        await load(folder)
        if (request.refiner !== undefined) await load(request.refiner)
        const file = `${i}.png`
        const { picture, isFlagged } = await engine.render(folder, request, signal)
        writeFileSync(path.join(output, file), encodePng(picture))
        return { name: one.name, file, nsfw: isFlagged, error: null }
      } catch (reason) {
        return {
          name: one.name,
          file: null,
          nsfw: null,
          error: reason instanceof Error ? reason.message : String(reason),
        }
      }
    }),
  )
  writeFileSync(path.join(output, 'index.json'), `${JSON.stringify(index, null, 1)}\n`)
}

async function requestOf({ task, request }: PipelineCase, directory: string, folder: string): Promise<RenderRequest> {
  if (!isTaskName(task)) throw new RangeError(`the task ${task} is not supported.`)
  const unknown = Object.keys(request).find((field) => !FIELDS.has(field))
  if (unknown !== undefined) throw new RangeError(`the field ${unknown} is not supported.`)
  const description = describeFolder(folder)
  const pictures = await picturesOf(request, directory)
  const { _class_name: scheduler, ...schedulerConfig } = request.scheduler
  return {
    task,
    prompt: request.prompt ?? '',
    negativePrompt: request.negative_prompt ?? null,
    safetyChecker: true,
    ...defaultSize(description, task, pictures.image),
    scheduler: String(scheduler),
    schedulerConfig,
    eta: 0,
    seed: 0,
    ...description.defaults[task]!,
    ...camelKeys(Object.fromEntries(PLAIN_FIELDS.flatMap((key) => (key in request ? [[key, request[key]]] : [])))),
    ...pictures,
    ...(request.refiner !== undefined && { refiner: path.resolve(directory, request.refiner) }),
  }
}

async function picturesOf(
  request: PipelineCase['request'],
  directory: string,
): Promise<{ image?: Raster; maskImage?: Raster; depthMap?: DepthMap }> {
  const read = (file: unknown): Promise<Raster> => decodePicture(readFileSync(path.join(directory, String(file))))
  return {
    ...(request['image'] !== undefined && { image: await read(request['image']) }),
    ...(request['mask_image'] !== undefined && { maskImage: await read(request['mask_image']) }),
    ...(request.depth_map !== undefined && { depthMap: depthMapOf(directory, request.depth_map) }),
  }
}

function depthMapOf(directory: string, file: string): DepthMap {
  const { shape, f32_base64: data } = readJson(path.join(directory, file)) as {
    readonly shape: readonly [number, number, number]
    readonly f32_base64: string
  }
  return { width: shape[2], height: shape[1], data: decodeFloat32(data) }
}
