import { downloadBatch, GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import type { BareOrder, BareRequest } from './bare-loop.ts'
import type { BenchResult } from './main.ts'
import { cpuSecondsOf } from './processes.ts'
import { median, ratioSummary, round } from './statistics.ts'

/**
 * Farm images/s, from the submit to the end of the batch through every part, over a bare onnxruntime loop's, on the same
 * checkpoint, requests, steps and threads; interleaved pairs. Both must render the same pixels.
 *
 * - ratio: over a loop that denoises as many images together as the farm does. Neither loop writes a PNG.
 * - overFirst: over what a person would write first, image by image.
 * - cpuRatio: CPU seconds an image, of all processes of the farm, over the loop that batches alike.
 * - twoWorkerRatio: two workers over two loops that batch alike.
 *
 * Prediction before the first run: 0.93. Against the farm: accept, plan, dispatch, PNG, upload, commit and finish, some of it
 * on the other core; for it: the negative prompt is encoded once and lanes share UNet calls. What is lost is mostly the two
 * ends of a batch, where the engine waits, so it shrinks as batches grow. Measured 2026-11-27 with two workers on two cores, which leave
 * none for the rest of the farm: 0.76 to 0.84 with 48 images, 0.81 to 0.91 with 144.
 */

const CHECKPOINT = path.resolve(import.meta.dirname, '../../deploy/checkpoints/emoji-sd')
const PROMPTS = ['a cat', 'a red apple', 'the sun', 'a panda', 'a rocket', 'a blue heart', 'a christmas tree', 'an owl']
const SCHEDULERS = ['PNDMScheduler', 'EulerDiscreteScheduler', 'DDIMScheduler']
const STEPS = 20
/** The eight rows that a worker takes on the CPU. */
const TOGETHER = 4
/** Two workers are through a batch twice as soon, and its two ends are not what is to be compared. */
const TIMES_FOR_TWO = 3
/** prom-client's default resolution. */
const PROBE_MS = 10

interface BareAnswer {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly hashes: readonly string[]
}

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({
    args: [...args],
    options: { pairs: { type: 'string', default: '15' }, images: { type: 'string', default: '48' } },
  })
  const pairs = Number(values.pairs)
  const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const bares = await Promise.all([startBare(), startBare()])
  for (const bare of bares) stack.defer(() => void bare.kill())
  const farm = stack.use(await Farm.start({ directory, workers: 2, checkpoints: [CHECKPOINT] }))
  const gateway = new GatewayClient(farm.gatewayUrl)
  const requests = requestsOf(Number(values.images))

  // The first pair warms both sides and proves that they draw the same pictures.
  const first = await farmRun(farm, gateway, requests)
  const want = await bareRun(bares[0], requests, TOGETHER)
  const got = await hashesOf(gateway, first.id, directory)
  const different = want.hashes.filter((hash, i) => hash !== got[i]).length
  if (different > 0)
    throw new Error(`${different} of ${requests.length} pictures of the farm differ from the bare loop's`)
  console.log(`${requests.length} pictures are the same on both sides`)

  const many = requestsOf(requests.length * TIMES_FOR_TWO)
  const two = await twoWorkers(farm, gateway, bares, many, Math.max(3, Math.ceil(pairs / 3)))
  await farm.kill('worker-2', 'SIGTERM')
  const ratios: number[] = []
  const overFirst: number[] = []
  const cpuRatios: number[] = []
  const controlDelaysMs: number[] = []
  await controlDelayMs(farm)
  for (let pair = 1; pair <= pairs; pair++) {
    const alike = await bareRun(bares[0], requests, TOGETHER)
    const farmed = await farmRun(farm, gateway, requests)
    const first = await bareRun(bares[0], requests, 1)
    ratios.push(alike.seconds / farmed.seconds)
    overFirst.push(first.seconds / farmed.seconds)
    cpuRatios.push(farmed.cpuSeconds / alike.cpuSeconds)
    controlDelaysMs.push(await controlDelayMs(farm))
    const rates = [alike, farmed, first].map(({ seconds }) => (requests.length / seconds).toFixed(2))
    console.log(
      `pair ${pair}: images/s of the loop that batches alike, the farm, the first loop: ${rates.join(', ')}; ` +
        `ratio ${ratios.at(-1)!.toFixed(3)}, CPU ${cpuRatios.at(-1)!.toFixed(3)}`,
    )
  }
  return {
    values: {
      ...ratioSummary('ratio', ratios),
      ...ratioSummary('overFirst', overFirst),
      cpuRatio: round(median(cpuRatios)),
      twoWorkerRatio: round(median(two)),
      controlDelayP99Ms: round(median(controlDelaysMs), 1),
      imagesPerRun: requests.length,
    },
    baseline: 'a bare onnxruntime-node loop that denoises four images together, and one that takes one by one; no PNG',
    pairs,
  }
}

function requestsOf(count: number): BareRequest[] {
  return Array.from({ length: count }, (_, i) => ({
    task: 'text-to-image',
    prompt: PROMPTS[i % PROMPTS.length]!,
    width: 64,
    height: 64,
    scheduler: SCHEDULERS[i % SCHEDULERS.length]!,
    schedulerConfig: {},
    numInferenceSteps: STEPS,
    guidanceScale: 3.5,
    eta: 0,
    seed: i,
  }))
}

async function startBare(): Promise<ChildProcess> {
  const child = fork(path.join(import.meta.dirname, 'bare-loop.ts'), [CHECKPOINT, '1'], { stdio: 'inherit' })
  await once(child, 'message')
  return child
}

async function bareRun(child: ChildProcess, requests: readonly BareRequest[], together: number): Promise<BareAnswer> {
  child.send({ requests, together } satisfies BareOrder)
  const [answer] = (await once(child, 'message')) as [BareAnswer]
  return answer
}

async function farmRun(
  farm: Farm,
  gateway: GatewayClient,
  requests: readonly BareRequest[],
): Promise<{ id: string; seconds: number; cpuSeconds: number }> {
  const cpu = (): number => farm.programs.reduce((sum, { pid }) => sum + cpuSecondsOf(pid), 0)
  const items = requests.map(({ prompt, scheduler, numInferenceSteps, guidanceScale, seed }) => ({
    checkpoint: 'emoji-sd',
    prompt,
    scheduler,
    numInferenceSteps,
    guidanceScale,
    seed,
  }))
  const before = cpu()
  const start = performance.now()
  const { id } = await gateway.submitJson({ items })
  for await (const batch of gateway.follow(id, new AbortController().signal)) {
    if (batch.items.failed > 0) throw new Error(`${batch.items.failed} items failed`)
  }
  return { id, seconds: (performance.now() - start) / 1000, cpuSeconds: cpu() - before }
}

/**
 * By how much the worker's control thread was late while it rendered: the 99th percentile since the last look, less the 10 ms from
 * one look of the probe to the next.
 */
async function controlDelayMs(farm: Farm): Promise<number> {
  const metrics = await (await fetch(farm.metricsUrls['worker-1']!)).text()
  const seconds = /^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(metrics)
  if (seconds === null) throw new Error('the worker tells no nodejs_eventloop_lag_p99_seconds')
  return Number(seconds[1]) * 1000 - PROBE_MS
}

/** Two workers over two bare loops at once. */
async function twoWorkers(
  farm: Farm,
  gateway: GatewayClient,
  bares: readonly [ChildProcess, ChildProcess],
  requests: readonly BareRequest[],
  pairs: number,
): Promise<number[]> {
  const ratios: number[] = []
  const half = requests.length / 2
  await Promise.all(bares.map((bare) => bareRun(bare, requests.slice(0, 2), TOGETHER)))
  for (let pair = 1; pair <= pairs; pair++) {
    const start = performance.now()
    await Promise.all([
      bareRun(bares[0], requests.slice(0, half), TOGETHER),
      bareRun(bares[1], requests.slice(half), TOGETHER),
    ])
    const bare = (performance.now() - start) / 1000
    const { seconds } = await farmRun(farm, gateway, requests)
    ratios.push(bare / seconds)
    console.log(`two workers, pair ${pair}: ratio ${ratios.at(-1)!.toFixed(3)}`)
  }
  return ratios
}

/** Hashes of the farm's pixels in the order of the items. */
async function hashesOf(gateway: GatewayClient, id: string, directory: string): Promise<string[]> {
  const folder = path.join(directory, 'pictures')
  await downloadBatch(gateway, id, folder)
  const lines = readFileSync(path.join(folder, 'output.jsonl'), 'utf8').trimEnd().split('\n')
  const output = lines
    .map((line) => JSON.parse(line) as { index: number; images: { name: string }[] })
    .toSorted((a, b) => a.index - b.index)
  return Promise.all(
    output.map(async ({ images }) => {
      const pixels = await sharp(path.join(folder, images[0]!.name)).removeAlpha().raw().toBuffer()
      return createHash('sha256').update(pixels).digest('hex')
    }),
  )
}
