import { isTaskName, TASKS } from '@darkroom/diffusion'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describeFolder } from '../../services/worker/src/engine/describe-folder.ts'
import { Engine } from '../../services/worker/src/engine/engine.ts'
import type { RenderRequest } from '../../services/worker/src/engine/messages.ts'
import { encodePng } from '../../services/worker/src/shards/encode-png.ts'
import { readJson } from './read-json.ts'

interface PipelineCase {
  readonly name: string
  readonly checkpoint: string
  readonly task: string
  /** Fields by diffusers' names. */
  readonly request: Readonly<Record<string, unknown>> & {
    readonly prompt?: string
    readonly negative_prompt?: string | null
    readonly scheduler: Readonly<Record<string, unknown>>
  }
}

interface Rendered {
  readonly name: string
  readonly file: string | null
  readonly error: string | null
}

const FIELDS = new Set([
  'prompt',
  'negative_prompt',
  'scheduler',
  'num_inference_steps',
  'guidance_scale',
  'eta',
  'seed',
  'width',
  'height',
])

/** Renders each case of DIR/pipelines.json through the worker's engine to OUT_DIR/<index>.png and lists them in index.json. */
export async function runPipelines(directory: string, output: string): Promise<void> {
  mkdirSync(output, { recursive: true })
  const { cases } = readJson(path.join(directory, 'pipelines.json')) as { cases: PipelineCase[] }
  await using engine = await Engine.start(
    { device: 'cpu', deviceOrdinal: 0, threads: 1, maxRows: 8 },
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
    cases.map(async (one, i): Promise<Rendered> => {
      try {
        const folder = path.resolve(directory, one.checkpoint)
        const request = requestOf(one, folder)
        await load(folder)
        const file = `${i}.png`
        writeFileSync(path.join(output, file), await encodePng(await engine.render(folder, request, signal)))
        return { name: one.name, file, error: null }
      } catch (reason) {
        return { name: one.name, file: null, error: reason instanceof Error ? reason.message : String(reason) }
      }
    }),
  )
  writeFileSync(path.join(output, 'index.json'), `${JSON.stringify(index, null, 1)}\n`)
}

function requestOf({ task, request }: PipelineCase, folder: string): RenderRequest {
  if (!isTaskName(task)) throw new RangeError(`the task ${task} is not supported.`)
  const unknown = Object.keys(request).find((field) => !FIELDS.has(field))
  if (unknown !== undefined) throw new RangeError(`the field ${unknown} is not supported.`)
  const { defaultWidth, defaultHeight } = describeFolder(folder)
  const { defaults } = TASKS[task]
  const { _class_name: scheduler, ...schedulerConfig } = request.scheduler
  const number = (field: string, fallback: number): number => Number(request[field] ?? fallback)
  return {
    task,
    prompt: request.prompt ?? '',
    negativePrompt: request.negative_prompt ?? '',
    width: number('width', defaultWidth),
    height: number('height', defaultHeight),
    scheduler: String(scheduler),
    schedulerConfig,
    numInferenceSteps: number('num_inference_steps', defaults.numInferenceSteps),
    guidanceScale: number('guidance_scale', defaults.guidanceScale),
    eta: number('eta', 0),
    seed: number('seed', 0),
  }
}
