import { readFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Engine } from './engine.ts'
import type { Raster } from '@darkroom/diffusion'
import type { RenderedPicture, RenderRequest, RenderState, Tick } from './messages.ts'

const ROOT = path.resolve(import.meta.dirname, '../../../..')
const REFERENCE = path.join(ROOT, 'test/golden/reference')
const PIPELINES = path.join(ROOT, 'test/golden/pipelines')
const SD = 'emoji-sd'
const DDPM = 'emoji-ddpm'
const SCALAR = 'tiny-ddpm'

interface Golden {
  readonly file: string
  readonly name: string
  readonly checkpoint: string
  readonly task: RenderRequest['task']
  readonly prompt?: string
  readonly negative_prompt?: string | null
  readonly scheduler: Readonly<Record<string, unknown>>
  readonly num_inference_steps: number
  readonly guidance_scale?: number
  readonly eta?: number
  readonly seed: number
  readonly width: number
  readonly height: number
}

function requestOf(golden: Omit<Golden, 'file' | 'name' | 'checkpoint'>): RenderRequest {
  const { _class_name: scheduler, ...schedulerConfig } = golden.scheduler
  return {
    task: golden.task,
    prompt: golden.prompt ?? '',
    negativePrompt: golden.negative_prompt ?? '',
    safetyChecker: true,
    width: golden.width,
    height: golden.height,
    scheduler: String(scheduler),
    schedulerConfig,
    numInferenceSteps: golden.num_inference_steps,
    guidanceScale: golden.guidance_scale ?? 0,
    eta: golden.eta ?? 0,
    seed: golden.seed,
  }
}

const apple: RenderRequest = {
  task: 'text-to-image',
  prompt: 'a red apple',
  negativePrompt: '',
  safetyChecker: true,
  width: 64,
  height: 64,
  scheduler: 'EulerDiscreteScheduler',
  schedulerConfig: {},
  numInferenceSteps: 3,
  guidanceScale: 4,
  eta: 0,
  seed: 1,
}

let engine: Engine
const ticks: Tick[] = []
const never = new AbortController().signal

beforeAll(async () => {
  engine = await Engine.start(
    { device: 'cpu', deviceOrdinal: 0, cudaLibraryPath: [], threads: 1, maxRows: 8, shapes: 'auto' },
    { ticked: (tick) => ticks.push(tick), stageTaken() {}, died: (reason) => expect.unreachable(String(reason)) },
  )
  await engine.load(SD, path.join(ROOT, 'deploy/checkpoints/emoji-sd'))
  await engine.load(DDPM, path.join(ROOT, 'deploy/checkpoints/emoji-ddpm'))
  await engine.load(SCALAR, path.join(PIPELINES, 'tiny-ddpm'))
})

afterAll(() => engine[Symbol.asyncDispose]())

/** Largest and mean difference of levels, over all channels. */
function difference(got: Uint8Array, want: Uint8Array): { max: number; mean: number } {
  expect(got).toHaveLength(want.length)
  const distances = Array.from(got, (level, i) => Math.abs(level - want[i]!))
  return { max: Math.max(...distances), mean: distances.reduce((a, b) => a + b, 0) / distances.length }
}

describe('pictures are those of diffusers', () => {
  const shown = ['sd_00_pndm', 'sd_00_euler', 'sd_04_pndm', 'sd_07_euler', 'uncond_0_ddpm', 'uncond_3_ddim']
  const { cases } = JSON.parse(readFileSync(path.join(REFERENCE, 'reference.json'), 'utf8')) as { cases: Golden[] }

  test.for(cases.filter(({ file }) => shown.includes(path.parse(file).name)))('$file', async (golden) => {
    const want = await sharp(path.join(REFERENCE, golden.file)).removeAlpha().raw().toBuffer()
    const { picture } = await engine.render(golden.checkpoint, requestOf(golden), never)
    const { max, mean } = difference(picture.data, want)
    expect(max).toBeLessThanOrEqual(2)
    expect(mean).toBeLessThan(0.1)
  })
})

describe('pictures depend on their request alone', () => {
  const mixed: [string, RenderRequest][] = [
    [SD, apple],
    [SD, { ...apple, prompt: 'a cat', scheduler: 'PNDMScheduler', numInferenceSteps: 5, seed: 2 }],
    [SD, { ...apple, scheduler: 'DDPMScheduler', guidanceScale: 1, numInferenceSteps: 4, seed: 3 }],
    [SD, { ...apple, scheduler: 'DDIMScheduler', eta: 1, numInferenceSteps: 2, seed: 4 }],
    [SD, { ...apple, width: 96, height: 48, seed: 5 }],
    [DDPM, { ...apple, task: 'unconditional-image-generation', width: 32, height: 32, seed: 6 }],
    [SCALAR, { ...apple, task: 'unconditional-image-generation', width: 16, height: 16, seed: 7 }],
    [
      SCALAR,
      { ...apple, task: 'unconditional-image-generation', width: 16, height: 16, numInferenceSteps: 5, seed: 8 },
    ],
  ]

  test('alone, in any mix of schedulers, steps, sizes and checkpoints, and when asked again: the same bytes', async () => {
    const alone: RenderedPicture[] = []
    for (const [pin, request] of mixed) alone.push(await engine.render(pin, request, never))
    const before = ticks.length
    const together = await Promise.all(mixed.map(([pin, request]) => engine.render(pin, request, never)))
    const reversed = await Promise.all(mixed.toReversed().map(([pin, request]) => engine.render(pin, request, never)))
    for (const [i, { picture }] of alone.entries()) {
      expect(Buffer.compare(together[i]!.picture.data, picture.data), `mix, image ${i}`).toBe(0)
      expect(Buffer.compare(reversed.toReversed()[i]!.picture.data, picture.data), `reversed mix, image ${i}`).toBe(0)
    }
    const shared = ticks.slice(before).filter(({ schedulers }) => new Set(schedulers).size > 1)
    expect(shared.length, 'calls that several schedulers shared').toBeGreaterThan(0)
    expect(Math.max(...ticks.map(({ rows }) => rows))).toBeLessThanOrEqual(8)
  })
})

describe('a render that stops goes on elsewhere with the same bytes', () => {
  test.for(['EulerAncestralDiscreteScheduler', 'PNDMScheduler', 'DPMSolverSDEScheduler', 'UniPCMultistepScheduler'])(
    'from any step of %s, also by way of a message',
    async (scheduler) => {
      const request: RenderRequest = { ...apple, scheduler, numInferenceSteps: 8, seed: 11 }
      const { picture, steps } = await engine.render(SD, request, never)
      const states: RenderState[] = []
      let job = 0
      await engine.render(SD, { ...request, preview: { every: 1, mode: 'estimate' } }, never, {
        started: (number) => (job = number),
        previewed: () => void engine.snapshot([job]).then((all) => all.forEach((state) => states.push(state))),
      })
      expect(new Set(states.map(({ lane }) => lane!.index)).size).toBeGreaterThan(3)
      for (const state of states) {
        const resumed = await engine.render(SD, request, never, { resumeFrom: structuredClone(state) })
        expect(Buffer.compare(resumed.picture.data, picture.data), `from step ${state.lane!.index}`).toBe(0)
        expect(resumed.steps).toBe(steps)
      }
    },
  )

  test('what has not begun, or is done, has no state', async () => {
    await engine.render(SD, apple, never)
    expect(await engine.snapshot([1, 2, 3])).toEqual(new Map())
  })
})

test('an estimated preview has the colours of the picture that it promises', async () => {
  const shown: Raster[] = []
  for (const mode of ['estimate', 'decode'] as const) {
    const asked: RenderRequest = { ...apple, numInferenceSteps: 20, preview: { every: 18, mode } }
    await engine.render(SD, asked, never, { previewed: ({ picture }) => shown.push(picture) })
  }
  const [estimate, decoded] = await Promise.all(
    shown.map(
      async ({ data, ...raw }) => await sharp(data, { raw }).resize(8, 8, { kernel: 'linear' }).raw().toBuffer(),
    ),
  )
  expect(difference(estimate!, decoded!).mean).toBeLessThan(22)
})

describe('what cannot be rendered fails alone', () => {
  test.for<[string, Partial<RenderRequest>, RegExp]>([
    ['an unknown scheduler', { scheduler: 'NoSuchScheduler' }, /scheduler is "NoSuchScheduler"/],
    ['a size that the checkpoint cannot do', { width: 60 }, /width is 60; want a positive multiple of 16/],
    ['a scheduler config that makes no sense', { schedulerConfig: { beta_start: 'x' } }, /beta_start/],
  ])('%s', async ([, wrong, message]) => {
    const [bad, good] = await Promise.allSettled([
      engine.render(SD, { ...apple, ...wrong }, never),
      engine.render(SD, apple, never),
    ])
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'RENDER_FAILED' } })
    expect(String((bad as PromiseRejectedResult).reason)).toMatch(message)
    expect(good.status).toBe('fulfilled')
  })

  test('a picture of NaN', async () => {
    const nan = engine.render(SD, { ...apple, guidanceScale: 1e38, numInferenceSteps: 4 }, never)
    const good = engine.render(SD, apple, never)
    await expect(nan).rejects.toMatchObject({ code: 'RENDER_FAILED', message: expect.stringContaining('NaN') })
    await expect(good).resolves.toMatchObject({ picture: { width: 64, height: 64 } })
  })

  test('a folder that is no checkpoint is refused with its reason', async () => {
    await expect(engine.load('no', path.join(ROOT, 'deploy'))).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })
})

test('a prompt that is too long is rendered and warned of', async () => {
  const prompt = Array.from({ length: 40 }, () => 'cat').join(' ')
  const { warnings } = await engine.render(SD, { ...apple, prompt, numInferenceSteps: 1 }, never)
  expect(warnings).toEqual([expect.stringMatching(/longer than 32 tokens; this was cut off: cat/)])
})

test('an image that is given up leaves at the next step and the others go on', async () => {
  const giveUp = new AbortController()
  const long = engine.render(SD, { ...apple, numInferenceSteps: 1000 }, giveUp.signal)
  await expect(engine.render(SD, apple, never)).resolves.toBeDefined()
  giveUp.abort()
  await expect(long).rejects.toMatchObject({ code: 'CANCELLED' })
  const last = ticks.at(-1)!.jobs
  await engine.render(SD, apple, never)
  expect(ticks.at(-1)!.jobs.some((job) => last.includes(job))).toBe(false)
})

test('a checkpoint loads while another renders', async () => {
  const giveUp = new AbortController()
  const long = engine.render(SD, { ...apple, numInferenceSteps: 1000 }, giveUp.signal)
  await engine.render(SD, apple, never)
  const before = ticks.length
  await engine.load('another', path.join(ROOT, 'deploy/checkpoints/emoji-ddpm'))
  expect(ticks.length).toBeGreaterThan(before + 3)
  giveUp.abort()
  await expect(long).rejects.toMatchObject({ code: 'CANCELLED' })
  engine.unload('another')
})

test('a checkpoint that was unloaded renders no more until it is loaded again', async () => {
  engine.unload(DDPM)
  const request: RenderRequest = { ...apple, task: 'unconditional-image-generation', width: 32, height: 32 }
  await expect(engine.render(DDPM, request, never)).rejects.toMatchObject({ code: 'RENDER_FAILED' })
  await engine.load(DDPM, path.join(ROOT, 'deploy/checkpoints/emoji-ddpm'))
  await expect(engine.render(DDPM, request, never)).resolves.toMatchObject({ picture: { width: 32 } })
})
