import { Random } from '@darkroom/sim/random'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { Shapes } from '../../services/worker/src/engine/batch-sizes.ts'
import { describeFolder } from '../../services/worker/src/engine/describe-folder.ts'
import { DeviceClock } from '../../services/worker/src/engine/device-clock.ts'
import { EmulatedModel } from '../../services/worker/src/engine/emulated-model.ts'
import type { RenderRequest, Tick } from '../../services/worker/src/engine/messages.ts'
import { ModelClient } from '../../services/worker/src/engine/model-client.ts'
import { Model } from '../../services/worker/src/engine/model.ts'
import { Renderer } from '../../services/worker/src/engine/renderer.ts'
import { denoiseTogether } from './denoise-together.ts'
import type { BenchResult } from './main.ts'
import { median, ratioSummary, round, timed } from './statistics.ts'

/**
 * What batching by step gains: the worker's own renderer against loops that keep a batch together. The device is emulated, as
 * stated: a denoiser call of B rows takes overhead + row · B, with overhead four times a row, as a GPU that is not yet busy.
 *
 * - vsPadded: 64 images of 4, 20, 30 or 50 steps in random order, in batches of eight that all run as long as the longest.
 * - vsShrinking: the same, each call without the images that are done.
 * - shortItemSpeedup: how much sooner an image of 4 steps is there that comes while seven of 50 steps are under way, than after
 *   them. 8 rows fit.
 * - realModelRatio: emoji-ddpm on the CPU through the renderer, over one image after the other on the same thread.
 * - wastedSlots: rows of padding over rows that images took, closed set of sizes, while images wait.
 *
 * Prediction: vsPadded is E[longest of 8] / E[steps] of the very batches, 1.83 on average, less 2 % for what the renderer does
 * between calls; vsShrinking 1.25; realModelRatio 1.0 to 1.1, since a CPU gains little from rows.
 *
 * Outcome, 2026-11-25, 2 pairs on two quiet cores: vsPadded 1.79 (limit 1.83), vsShrinking 1.26, shortItemSpeedup 8.4, wastedSlots 0.
 * realModelRatio 1.83, not 1.1. Not profiled: rows may gain more on this CPU than was thought, and the one after the other waits
 * for a message each way between two steps.
 */

const ROWS = 8
const ROW_MS = 1
const DEVICE = { overheadMs: 4 * ROW_MS, rowMs: ROW_MS }
const STEPS = [4, 20, 30, 50]
const IMAGES = 64
const LONG = 50
const SHORT = 4
const PIN = 'model'
const EMULATED = path.resolve(import.meta.dirname, '../golden/pipelines/tiny-ddpm')
const REAL = path.resolve(import.meta.dirname, '../../deploy/checkpoints/emoji-ddpm')
const REAL_STEPS = [4, 8, 12, 20]

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { pairs: { type: 'string', default: '15' } } })
  const pairs = Number(values.pairs)
  const random = new Random(1)
  const measured = {
    vsPadded: [] as number[],
    vsShrinking: [] as number[],
    limit: [] as number[],
    short: [] as number[],
    real: [] as number[],
    wasted: [] as number[],
  }
  for (let pair = 1; pair <= pairs; pair++) {
    const requests = shuffled(random, IMAGES).map((steps) => requestOf(16, steps))
    const padded = await timed(() => together(new Model(new EmulatedModel(EMULATED, DEVICE)), requests, true))
    const ours = await timed(() =>
      byStep(new Model(new EmulatedModel(EMULATED, DEVICE)), longestFirst(requests), 'any'),
    )
    const shrinking = await timed(() => together(new Model(new EmulatedModel(EMULATED, DEVICE)), requests, false))
    measured.vsPadded.push(padded / ours)
    measured.vsShrinking.push(shrinking / ours)
    measured.limit.push(longestOfBatches(requests) / (stepsOf(requests) / ROWS))
    measured.wasted.push(await wastedSlots(requests))
    measured.short.push(await shortItemSpeedup(random.below(LONG)))
    console.log(
      `pair ${pair}: vs padded ${measured.vsPadded.at(-1)!.toFixed(3)} (limit ${measured.limit.at(-1)!.toFixed(3)}), vs shrinking ${measured.vsShrinking.at(-1)!.toFixed(3)}, short item ${measured.short.at(-1)!.toFixed(1)}, wasted ${measured.wasted.at(-1)!.toFixed(4)}`,
    )
  }
  measured.real.push(...(await realPairs(pairs)))
  return {
    values: {
      ...ratioSummary('vsPadded', measured.vsPadded),
      arithmeticLimit: round(median(measured.limit)),
      ...ratioSummary('vsShrinking', measured.vsShrinking),
      shortItemSpeedup: round(median(measured.short), 2),
      ...ratioSummary('realModelRatio', measured.real),
      wastedSlots: round(median(measured.wasted), 4),
    },
    baseline:
      'batches of eight that stay together until their longest image is done, on the same emulated device; for realModelRatio one image after the other',
    pairs,
  }
}

function requestOf(side: number, numInferenceSteps: number): RenderRequest {
  return {
    task: 'unconditional-image-generation',
    prompt: '',
    negativePrompt: null,
    safetyChecker: true,
    width: side,
    height: side,
    scheduler: 'DDIMScheduler',
    schedulerConfig: {},
    numInferenceSteps,
    guidanceScale: 0,
    eta: 0,
    seed: numInferenceSteps,
  }
}

/** Equally many of each number of steps, in random order. */
function shuffled(random: Random, count: number): number[] {
  const steps = Array.from({ length: count }, (_, i) => STEPS[i % STEPS.length]!)
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[steps[i], steps[j]] = [steps[j]!, steps[i]!]
  }
  return steps
}

/** The order in which a worker begins the images of a shard. */
function longestFirst(requests: readonly RenderRequest[]): RenderRequest[] {
  return requests.toSorted((a, b) => b.numInferenceSteps - a.numInferenceSteps)
}

function stepsOf(requests: readonly RenderRequest[]): number {
  return requests.reduce((sum, { numInferenceSteps }) => sum + numInferenceSteps, 0)
}

function longestOfBatches(requests: readonly RenderRequest[]): number {
  let sum = 0
  for (let from = 0; from < requests.length; from += ROWS) {
    sum += Math.max(...requests.slice(from, from + ROWS).map(({ numInferenceSteps }) => numInferenceSteps))
  }
  return sum
}

/** Through the worker's renderer. */
async function byStep(
  model: Model,
  requests: readonly RenderRequest[],
  shapes: Shapes,
  onTick: (tick: Tick) => void = () => {},
): Promise<void> {
  const { render } = rendererOf(model, shapes, onTick)
  await Promise.all(requests.map(render))
}

function rendererOf(model: Model, shapes: Shapes, onTick: (tick: Tick) => void) {
  const waiting = new Map<number, PromiseWithResolvers<void>>()
  const renderer = new Renderer(
    new Map([[PIN, model]]),
    { maxRows: ROWS, shapes },
    {
      ticked: onTick,
      previewed() {},
      rendered: (job) => waiting.get(job)!.resolve(),
      failed: (job, message) => waiting.get(job)!.reject(new Error(message)),
      stageTaken() {},
    },
  )
  const render = (request: RenderRequest): Promise<void> => {
    const job = waiting.size + 1
    const done = Promise.withResolvers<void>()
    waiting.set(job, done)
    renderer.add({ job, pin: PIN, request })
    return done.promise
  }
  return { render }
}

/** In batches of eight, all rows to the end or only those that are left. */
async function together(model: Model, requests: readonly RenderRequest[], isPadded: boolean): Promise<void> {
  for (let from = 0; from < requests.length; from += ROWS) {
    const batch = requests.slice(from, from + ROWS)
    await denoiseTogether(model, batch, isPadded ? batch.length : 'left')
  }
}

async function wastedSlots(requests: readonly RenderRequest[]): Promise<number> {
  const ticks: Tick[] = []
  await byStep(new Model(new EmulatedModel(EMULATED, DEVICE)), longestFirst(requests), 'closed', (tick) =>
    ticks.push(tick),
  )
  const lastToBegin = Math.max(...ticks.flatMap(({ jobs }) => jobs))
  const whileOthersWait = ticks.slice(
    0,
    ticks.findIndex(({ jobs }) => jobs.includes(lastToBegin)),
  )
  const sum = (of: (tick: Tick) => number): number => whileOthersWait.reduce((all, tick) => all + of(tick), 0)
  return sum(({ padded, rows }) => padded - rows) / sum(({ rows }) => rows)
}

/** @param after steps of the long images when the short one comes */
async function shortItemSpeedup(after: number): Promise<number> {
  let reached = 0
  const arrived = Promise.withResolvers<void>()
  const { render } = rendererOf(new Model(new EmulatedModel(EMULATED, DEVICE)), 'any', () => {
    if (++reached > after) arrived.resolve()
  })
  const long = Array.from({ length: ROWS - 1 }, () => render(requestOf(16, LONG)))
  await arrived.promise
  const ours = await timed(() => render(requestOf(16, SHORT)))
  await Promise.all(long)
  const model = new Model(new EmulatedModel(EMULATED, DEVICE))
  const waited = await timed(async () => {
    await together(
      model,
      Array.from({ length: ROWS - 1 }, () => requestOf(16, LONG - after)),
      true,
    )
    await together(model, [requestOf(16, SHORT)], true)
  })
  return waited / ours
}

async function realPairs(pairs: number): Promise<number[]> {
  const settings = { device: 'cpu', deviceOrdinal: 0, threads: 1 } as const
  const data = { folder: REAL, description: describeFolder(REAL), settings, clockMemory: new DeviceClock().memory }
  const client = await ModelClient.start(data, () => {})
  const model = new Model(client)
  const requests = Array.from({ length: 16 }, (_, i) => requestOf(32, REAL_STEPS[i % REAL_STEPS.length]!))
  const ratios: number[] = []
  await byStep(model, requests, 'any')
  for (let pair = 1; pair <= pairs; pair++) {
    const serial = await timed(async () => {
      for (const request of requests) await together(model, [request], true)
    })
    const ours = await timed(() => byStep(model, longestFirst(requests), 'any'))
    ratios.push(serial / ours)
    console.log(`real model, pair ${pair}: ${ratios.at(-1)!.toFixed(3)}`)
  }
  await client.stop()
  return ratios
}
