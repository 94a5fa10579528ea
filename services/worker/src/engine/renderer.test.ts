import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Shapes } from './batch-sizes.ts'
import { EmulatedModel } from './emulated-model.ts'
import type { EmulatedDevice } from './emulated-model.ts'
import type { Preview, RenderRequest, Tick } from './messages.ts'
import { Model } from './model.ts'
import { Renderer } from './renderer.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../../../test/golden/pipelines/tiny-ddpm')
const PIN = 'tiny-ddpm'
const INSTANT: EmulatedDevice = { overheadMs: 1, rowMs: 0 }

const request: RenderRequest = {
  task: 'unconditional-image-generation',
  prompt: '',
  negativePrompt: null,
  safetyChecker: true,
  width: 16,
  height: 16,
  scheduler: 'DDIMScheduler',
  schedulerConfig: {},
  numInferenceSteps: 4,
  guidanceScale: 0,
  eta: 0,
  seed: 0,
}

/** A renderer on a device that is played. */
function rendererOn(device: EmulatedDevice, shapes: Shapes = 'any', maxRows = 4) {
  const model = new EmulatedModel(FOLDER, device)
  const ticks: Tick[] = []
  const previews: Preview[] = []
  const waiting = new Map<number, PromiseWithResolvers<void>>()
  const renderer = new Renderer(
    new Map([[PIN, new Model(model)]]),
    { maxRows, shapes },
    {
      ticked: (tick) => ticks.push(tick),
      previewed: (_job, preview) => previews.push(preview),
      rendered: (job) => waiting.get(job)!.resolve(),
      failed: (job, message) => waiting.get(job)!.reject(new Error(message)),
      stageTaken() {},
    },
  )
  let next = 1
  const render = (fields: Partial<RenderRequest> = {}): { readonly job: number; readonly done: Promise<void> } => {
    const job = next++
    const ended = Promise.withResolvers<void>()
    waiting.set(job, ended)
    renderer.add({ job, pin: PIN, request: { ...request, ...fields } })
    return { job, done: ended.promise }
  }
  const warmUp = (): Promise<void> => renderer.warmUp(PIN, new Model(model))
  return { model, renderer, ticks, previews, render, warmUp }
}

describe('lanes share calls', () => {
  test('as many as fit, and one that leaves makes room for the next at the same step', async () => {
    const { model, render } = rendererOn(INSTANT)
    const steps = [4, 8, 8, 8, 4, 4, 4, 4]
    await Promise.all(steps.map((numInferenceSteps) => render({ numInferenceSteps }).done))
    const needed = steps.reduce((a, b) => a + b)
    expect(model.calls.reduce((a, b) => a + b)).toBe(needed)
    expect(model.calls.length).toBeLessThanOrEqual(needed / 4 + 4)
  })

  test('with a timestep for all, those that began later catch up and go on together', async () => {
    const { model, ticks, render } = rendererOn({ ...INSTANT, timestepDims: [] })
    const first = render({ numInferenceSteps: 10 })
    while (ticks.length < 3) await new Promise(setImmediate)
    await Promise.all([first.done, render({ numInferenceSteps: 10 }).done])
    expect(model.calls.filter((rows) => rows === 2).length).toBeGreaterThanOrEqual(5)
  })

  test('calls are padded to a closed set only where the device wants one', async () => {
    const [free, closed] = [rendererOn(INSTANT), rendererOn(INSTANT, 'closed')]
    for (const { render } of [free, closed]) await Promise.all([1, 2, 3].map(() => render().done))
    expect(free.model.calls).toContain(3)
    expect(closed.model.calls.every((rows) => [1, 2, 4].includes(rows))).toBe(true)
    expect(closed.ticks.some(({ rows, padded }) => rows === 3 && padded === 4)).toBe(true)
  })
})

describe('a device that looks for its algorithms at each size', () => {
  test('meets all of them when a checkpoint comes, and none again at its usual shape', async () => {
    const { model, render, warmUp } = rendererOn(INSTANT, 'closed')
    await warmUp()
    expect(model.calls).toEqual([4, 4, 2, 2, 1, 1, 4])
    await render({ numInferenceSteps: 3 }).done
    expect(model.calls).toEqual([4, 4, 2, 2, 1, 1, 4, 1, 1, 1])
  })

  test('meets them again at another shape, before its first step', async () => {
    const { model, render } = rendererOn(INSTANT, 'closed')
    await render({ width: 32, height: 32, numInferenceSteps: 3 }).done
    expect(model.calls).toEqual([4, 4, 2, 2, 1, 1, 4, 1, 1, 1])
  })

  test('with a single lane in each call meets none', async () => {
    const { model, render, warmUp } = rendererOn(INSTANT, 'single')
    await warmUp()
    await Promise.all([render({ numInferenceSteps: 3 }).done, render({ numInferenceSteps: 3 }).done])
    expect(model.calls).toEqual([1, 1, 1, 1, 1, 1])
  })
})

describe('a device that needs long to change the shape of its calls', () => {
  const SLOW_TO_CHANGE: EmulatedDevice = { overheadMs: 1, rowMs: 1, switchMs: 50 }
  const changesOf = (calls: readonly number[]): number =>
    calls.filter((rows, i) => i > 0 && rows !== calls[i - 1]).length

  test('keeps its size for a lane that would soon be done', async () => {
    const { model, render, warmUp } = rendererOn(SLOW_TO_CHANGE, 'closed')
    await warmUp()
    const before = model.calls.length
    await render({ numInferenceSteps: 3 }).done
    expect(model.calls.slice(before)).toEqual([4, 4, 4])
  })

  test('changes once where that is sooner done', async () => {
    const { model, render, warmUp } = rendererOn(SLOW_TO_CHANGE, 'closed')
    await warmUp()
    const before = model.calls.length
    await render({ numInferenceSteps: 100 }).done
    expect(changesOf(model.calls.slice(before - 1))).toBe(1)
    expect(model.calls.at(-1)).toBe(1)
  })

  test('lets groups of two shapes take turns of many calls', async () => {
    const { model, ticks, render, warmUp } = rendererOn(SLOW_TO_CHANGE, 'closed')
    await warmUp()
    const sizes = [16, 32].flatMap((side) => Array.from({ length: 4 }, () => ({ width: side, height: side })))
    await Promise.all(sizes.map((size) => render({ ...size, numInferenceSteps: 200 }).done))
    const jobs = ticks.map(({ jobs: [first] }) => first! <= 4)
    const turns = jobs.filter((isSmall, i) => i > 0 && isSmall !== jobs[i - 1]).length
    expect(turns).toBeGreaterThan(0)
    expect(turns).toBeLessThan(10)
    expect(model.calls.length).toBeGreaterThan(400)
  })
})

describe('an image that somebody waits for', () => {
  const PACED: EmulatedDevice = { overheadMs: 0.1, rowMs: 1 }
  const LONG = { numInferenceSteps: 300 }

  /** Calls that were made from the beginning of `wait` to its end, and whether each had the job. */
  async function callsOf(ticks: readonly Tick[], { job, done }: { job: number; done: Promise<void> }) {
    const before = ticks.length
    await done
    return ticks.slice(before).map(({ jobs, rows }) => ({ rows, isOwn: jobs.includes(job) }))
  }

  test.each([
    ['of the same shape as the others', {}],
    ['of another shape', { width: 32, height: 32 }],
  ])('is not held up by more than the calls under way: %s', async (_shape, size) => {
    const { renderer, ticks, render } = rendererOn(PACED, 'any', 8)
    const others = Array.from({ length: 24 }, () => render(LONG))
    while (ticks.length < 8) await new Promise(setImmediate)
    const calls = await callsOf(ticks, render({ ...size, numInferenceSteps: 20, isInteractive: true }))
    expect(calls.filter(({ isOwn }) => isOwn)).toHaveLength(20)
    expect(calls.filter(({ isOwn }) => !isOwn).length).toBeLessThanOrEqual(4)
    renderer.drop(others.map(({ job }) => job))
  })

  test('takes others along only where they make its calls hardly longer', async () => {
    const busy = rendererOn(PACED, 'any', 8)
    const idle = rendererOn({ overheadMs: 8, rowMs: 0.1 }, 'any', 8)
    for (const [{ renderer, ticks, render }, most] of [
      [busy, 1],
      [idle, 8],
    ] as const) {
      const others = Array.from({ length: 16 }, () => render(LONG))
      while (ticks.length < 8) await new Promise(setImmediate)
      const calls = await callsOf(ticks, render({ numInferenceSteps: 20, isInteractive: true }))
      const own = calls.filter(({ isOwn }) => isOwn)
      expect(own.slice(2).every(({ rows }) => rows === most)).toBe(true)
      renderer.drop(others.map(({ job }) => job))
    }
  })

  test('shares its calls with another one, and the others go on after them', async () => {
    const { ticks, render } = rendererOn(PACED, 'any', 8)
    const others = Array.from({ length: 16 }, () => render({ numInferenceSteps: 40 }))
    while (ticks.length < 8) await new Promise(setImmediate)
    const awaited = [1, 2].map(() => render({ numInferenceSteps: 20, isInteractive: true }))
    await Promise.all(awaited.map(({ done }) => done))
    const both = ticks.filter(({ jobs }) => awaited.every(({ job }) => jobs.includes(job)))
    expect(both.length).toBeGreaterThanOrEqual(18)
    await Promise.all(others.map(({ done }) => done))
  })

  test('has its turn also where the denoiser is kept for another shape', async () => {
    const { renderer, ticks, render, warmUp } = rendererOn({ overheadMs: 1, rowMs: 1, switchMs: 50 }, 'closed')
    await warmUp()
    const others = Array.from({ length: 8 }, () => render(LONG))
    while (ticks.length < 4) await new Promise(setImmediate)
    const calls = await callsOf(ticks, render({ width: 32, height: 32, numInferenceSteps: 8, isInteractive: true }))
    const first = calls.findIndex(({ isOwn }) => isOwn)
    expect(calls.slice(first, first + 8).every(({ isOwn }) => isOwn)).toBe(true)
    renderer.drop(others.map(({ job }) => job))
  })
})

describe('a device that runs out of memory', () => {
  test('is given fewer rows, and nothing fails', async () => {
    const { model, render } = rendererOn({ ...INSTANT, memoryRows: 2 })
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => render().done))
    expect(Math.max(...model.calls)).toBe(2)
  })

  test('fails what does not fit alone', async () => {
    const { render } = rendererOn({ ...INSTANT, memoryRows: 0 })
    await expect(render().done).rejects.toThrow(/out of memory/)
  })
})

test('previews count steps of the scheduler, also of one that takes two calls for each', async () => {
  const { previews, render } = rendererOn(INSTANT)
  await render({
    scheduler: 'HeunDiscreteScheduler',
    schedulerConfig: { prediction_type: 'epsilon' },
    numInferenceSteps: 6,
    preview: { every: 2, mode: 'estimate' },
  }).done
  expect(previews.map(({ step, steps }) => [step, steps])).toEqual([
    [2, 6],
    [4, 6],
  ])
})

test('what is dropped leaves its place to others and is never told of', async () => {
  const { renderer, ticks, render } = rendererOn(INSTANT)
  const long = [1, 2, 3, 4].map(() => render({ numInferenceSteps: 1000 }))
  while (ticks.length < 3) await new Promise(setImmediate)
  renderer.drop(long.map(({ job }) => job))
  await render().done
  const last = ticks.at(-1)!
  expect(long.some(({ job }) => last.jobs.includes(job))).toBe(false)
  expect(renderer.snapshot(long.map(({ job }) => job)).size).toBe(0)
})
