import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { describeFolder } from '../../services/worker/src/engine/describe-folder.ts'
import { Engine } from '../../services/worker/src/engine/engine.ts'
import { usualRequest } from '../../services/worker/src/engine/job.ts'
import type { RenderRequest, Tick } from '../../services/worker/src/engine/messages.ts'
import { PngEncoder } from '../../services/worker/src/encoding/png-encoder.ts'
import { watchGpu } from '../../services/worker/src/device/nvidia-smi.ts'
import { startBareDevice } from './gpu/bare-device.ts'
import { compareDevices, rendersAlike } from './gpu/compare-devices.ts'
import { torchSeconds } from './gpu/torch.ts'
import { buildSd15 } from './sd15/build-sd15.ts'
import type { BenchResult } from './main.ts'
import { machine } from './processes.ts'
import { median, round, timed } from './statistics.ts'

/**
 * The worker's engine on a GPU, at the size of Stable Diffusion 1.5 (untrained weights, which cost as much as trained ones):
 * 512 × 512, 50 steps, guidance. Needs no network: `test/bench/sd15` draws the weights where it runs. Writes what it found to
 * test/bench/results/.
 *
 * - busyPercent: share of the time in which the device computed, over `--seconds` of steady work: by nvidia-smi where there is one,
 *   else by the engine's own clock around its calls.
 * - farmOverBare: images/s of the engine with decoding and PNG over a loop with the same graphs, rows and steps, and nothing else;
 *   the median of pairs.
 * - vsTorchB1, vsTorchB8: over diffusers in fp16 in the same run; null with a reason where there is no torch that sees the GPU.
 * - stepBatching512: mixed steps {4, 20, 30, 50} at once over one after the other.
 * - newBatchStallMs: how much longer the slowest call took than its size takes, over batches of six sizes after warm-up.
 * - levelsFromCpu, levelsFromCpuFused: how far pictures of the shipped checkpoint are from the CPU's, and those of `--fused FOLDER`,
 *   the same checkpoint out of `fuse_cuda.py`.
 * - singleIsAlike: whether `--shapes single` gives the same bytes alone and in company.
 *
 * The whole takes five minutes on an H200, of which two are steady work. What was found so far: results/gpu-h200-2026-11-26.md.
 *
 * `--cuda FOLDER` names a folder with CUDA's libraries. `gpu/bundle.ts` packs all of it for a machine without network.
 * `--device cpu --checkpoint deploy/checkpoints/emoji-sd --seconds 5` runs all of it, but torch, where there is no GPU.
 */

const DEVICES = ['cuda', 'webgpu', 'cpu'] as const
const MIXED_STEPS = [4, 20, 30, 50]
const RESULTS = path.join(import.meta.dirname, 'results')
const SHIPPED = path.resolve(import.meta.dirname, '../../deploy/checkpoints/emoji-sd')
const BUILT = path.resolve(import.meta.dirname, '../../build/sd15')

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      device: { type: 'string', default: 'cuda' },
      checkpoint: { type: 'string' },
      seconds: { type: 'string', default: '120' },
      images: { type: 'string', default: '32' },
      pairs: { type: 'string', default: '2' },
      fused: { type: 'string' },
      steps: { type: 'string', default: '50' },
      'max-rows': { type: 'string' },
      python: { type: 'string', default: 'python3' },
      cuda: { type: 'string', multiple: true, default: [] },
    },
  })
  const device = DEVICES.find((kind) => kind === values.device)
  if (device === undefined) throw new RangeError(`--device is ${values.device}; want one of ${DEVICES.join(', ')}.`)
  const folder = values.checkpoint ?? BUILT
  if (values.checkpoint === undefined) await buildSd15(folder)
  const ticks: Tick[] = []
  const options = {
    device,
    deviceOrdinal: 0,
    threads: 1,
    maxRows: values['max-rows'] === undefined ? null : Number(values['max-rows']),
    shapes: 'auto' as const,
    cudaLibraryPath: values.cuda.map((name) => path.resolve(name)),
  }
  const onDeath = (reason: Error): void => {
    throw reason
  }
  await using stack = new AsyncDisposableStack()
  const engine = stack.use(
    await Engine.start(options, { ticked: (tick) => ticks.push(tick), stageTaken() {}, died: onDeath }),
  )
  const png = stack.use(new PngEncoder(onDeath))
  console.log(`${engine.device.kind} ${engine.device.name}: ${engine.device.reason}`)
  const pin = path.basename(folder)
  const loadStart = performance.now()
  await engine.load(pin, folder)
  const loadSeconds = (performance.now() - loadStart) / 1000
  console.log(`loaded and warmed up in ${loadSeconds.toFixed(1)} s`)

  const usual = usualRequest(describeFolder(folder))
  const request = (seed: number, numInferenceSteps = Number(values.steps)): RenderRequest => ({
    ...usual,
    prompt: 'a cat',
    negativePrompt: 'blurry',
    scheduler: 'EulerDiscreteScheduler',
    guidanceScale: 7.5,
    numInferenceSteps,
    seed,
  })
  const never = new AbortController().signal
  const render = async (one: RenderRequest): Promise<void> => {
    const { picture } = await engine.render(pin, one, never)
    await png.encode(picture, { darkroom: '', parameters: '' })
  }
  const renderAll = (requests: readonly RenderRequest[]): Promise<number> =>
    timed(() => Promise.all(requests.map(render)))

  const levelsFromCpu = await compareDevices(SHIPPED, SHIPPED, options)
  const levelsFromCpuFused = values.fused === undefined ? null : await compareDevices(SHIPPED, values.fused, options)
  const singleIsAlike = await rendersAlike(folder, { ...options, shapes: 'single' }, 6)
  console.log('levels from the CPU', levelsFromCpu, 'fused', levelsFromCpuFused, 'single is alike', singleIsAlike)

  const newBatchStallMs = await stallOfNewSizes(ticks, renderAll, request)
  const images = Number(values.images)
  const many = Array.from({ length: images }, (_, i) => request(i))
  ticks.length = 0
  await renderAll(many)
  const rows = Math.max(...ticks.map(({ padded }) => padded))
  const steady = await steadyWork(Number(values.seconds), ticks, render, request, rows)
  console.log('stall', newBatchStallMs, 'rows', rows, 'steady', steady)
  const mixed = Array.from({ length: images }, (_, i) => request(i, MIXED_STEPS[i % MIXED_STEPS.length]))
  const together = await renderAll(mixed)
  const oneByOne = await timed(async () => {
    for (const one of mixed) await render(one)
  })
  const bare = stack.use(await startBareDevice(folder, engine.settings))
  const overBare: number[] = []
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    const farmSeconds = await renderAll(many)
    overBare.push((await bare.render(many, rows)) / farmSeconds)
  }
  console.log('together', together, 'one by one', oneByOne, 'over bare', overBare)
  const torch = await torchSeconds(values.python, Number(values.steps), engine.device.kind)
  const alone = await medianOf(3, () => timed(() => render(request(1))))
  const eight = await medianOf(3, () => renderAll(Array.from({ length: 8 }, (_, i) => request(i))))

  const result = {
    values: {
      busyPercent: round(steady.busyPercent, 1),
      busyBy: steady.busyBy,
      imagesPerSecond: round(steady.imagesPerSecond),
      farmOverBare: round(median(overBare)),
      farmOverBarePairs: overBare.map((ratio) => round(ratio)),
      vsTorchB1: torch.b1 === null ? null : round(torch.b1 / alone),
      vsTorchB8: torch.b8 === null ? null : round(torch.b8 / eight),
      torch: torch.reason,
      secondsB1: round(alone),
      secondsB8: round(eight),
      stepBatching512: round(oneByOne / together),
      newBatchStallMs: round(newBatchStallMs, 1),
      levelsFromCpu,
      levelsFromCpuFused,
      singleIsAlike,
      rows,
      loadSeconds: round(loadSeconds, 1),
    },
    baseline: 'a loop with the same graphs, rows and steps on the same device; diffusers in fp16',
    pairs: overBare.length,
  }
  mkdirSync(RESULTS, { recursive: true })
  const name = `gpu-${engine.device.kind}-${new Date().toISOString().slice(0, 10)}.json`
  const written = { bench: 'gpu', ...result, device: engine.device, machine: machine() }
  writeFileSync(path.join(RESULTS, name), `${JSON.stringify(written, null, 2)}\n`)
  console.log(`written to test/bench/results/${name}`)
  return result
}

/** Renders batches of six sizes, and compares the slowest call of each number of rows with what that number takes. */
async function stallOfNewSizes(
  ticks: Tick[],
  renderAll: (requests: readonly RenderRequest[]) => Promise<number>,
  request: (seed: number, steps?: number) => RenderRequest,
): Promise<number> {
  ticks.length = 0
  for (const count of [1, 2, 3, 4, 6, 8]) await renderAll(Array.from({ length: count }, (_, i) => request(i, 6)))
  const bySize = Map.groupBy(ticks, ({ padded }) => padded)
  const stalls = bySize.values().map((calls) => {
    const seconds = calls.map((tick) => tick.seconds)
    return Math.max(...seconds) - median(seconds)
  })
  return 1000 * Math.max(0, ...stalls)
}

async function medianOf(runs: number, measure: () => Promise<number>): Promise<number> {
  const taken: number[] = []
  for (let run = 0; run < runs; run++) taken.push(await measure())
  return median(taken)
}

/** Keeps as many images under way as two calls take. */
async function steadyWork(
  seconds: number,
  ticks: Tick[],
  render: (one: RenderRequest) => Promise<void>,
  request: (seed: number) => RenderRequest,
  underWay: number,
): Promise<{ readonly busyPercent: number; readonly busyBy: string; readonly imagesPerSecond: number }> {
  const readings: number[] = []
  using _watch = watchGpu(0, ({ utilizationRatio }) => readings.push(utilizationRatio))
  ticks.length = 0
  let images = 0
  let seed = 0
  const end = performance.now() + seconds * 1000
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      await render(request(seed++))
      images++
    }
  }
  const took = await timed(() => Promise.all(Array.from({ length: underWay }, one)))
  const own = ticks.reduce((sum, tick) => sum + tick.seconds, 0) / took
  const isMeasured = readings.length > seconds / 2
  const share = isMeasured ? readings.reduce((a, b) => a + b, 0) / readings.length : own
  return {
    busyPercent: 100 * share,
    busyBy: isMeasured ? 'nvidia-smi' : 'denoiser calls on the engine’s clock',
    imagesPerSecond: images / took,
  }
}
