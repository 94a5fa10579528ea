import { ObjectStore } from '@darkroom/chassis'
import { GatewayClient, verifyBatch } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { BenchResult } from './main.ts'
import { ShardWatch } from './shard-watch.ts'
import type { Turn } from './shard-watch.ts'
import { round } from './statistics.ts'
import { StepCounter } from './step-counter.ts'

/**
 * What the loss of workers costs: a batch of four long shards on four workers, of which one is killed with SIGKILL in the
 * middle and, once its shards go on, another is told to stop with SIGTERM and a grace in which nothing ends. Workers have room,
 * so that what is measured is the farm and not the wait for a free place. Before it the same batch runs undisturbed: every
 * picture must have the same bytes.
 *
 * recomputedFraction: denoising steps that all workers have taken by `darkroom_denoise_steps_total`, less the steps that the
 * batch needs, over those. Of the killed worker it is read right before the kill, of the one that stops until its port closes.
 * killRecomputedFraction, drainRecomputedFraction: the share of either worker: its steps, less those that its commit records
 * and the workers after it built on (`stepsResumed`).
 * secondsToResume: from the kill to the first report of a step of the last of its shards on another worker, at reports every
 * 100 ms; drainSecondsToResume likewise from the SIGTERM.
 *
 * Prediction before the first run, with the defaults: kill 0.04 (a write costs some 20 ms, so that Young's interval against one
 * loss in a day is a minute, half of which is lost, by one of four workers, of two minutes), drain below 0.001 (a step or two
 * of each lane); 2 s after a kill (one to take the worker for lost), 0.3 s after a drain.
 */

const CHECKPOINT = path.resolve(import.meta.dirname, '../../deploy/checkpoints/emoji-sd')
const WORKERS = 4
/** None calls the model more often than once a step; two of them draw noise at each. */
const SCHEDULERS = ['EulerDiscreteScheduler', 'EulerAncestralDiscreteScheduler', 'DDIMScheduler', 'DDPMScheduler']
const FARM_ENV = {
  coordinator: { DARKROOM_COORDINATOR_HEARTBEAT_INTERVAL_MS: '100' },
  worker: { DARKROOM_WORKER_GRACE_MS: '2000' },
}

interface Loss {
  readonly worker: string
  readonly atMs: number
  readonly begun: readonly (readonly [string, Turn])[]
}

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      steps: { type: 'string', default: '900' },
      images: { type: 'string', default: '4' },
      size: { type: 'string', default: '96' },
    },
  })
  const [steps, images, size] = [values.steps, values.images, values.size].map(Number) as [number, number, number]
  const items = SCHEDULERS.map((scheduler, seed) => {
    const shared = { checkpoint: 'emoji-sd', prompt: 'a red apple', guidanceScale: 1, width: size, height: size }
    return { ...shared, scheduler, seed: 1000 * seed, numInferenceSteps: steps, numImages: images }
  })
  const needed = items.length * images * steps
  const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const farm = stack.use(await Farm.start({ directory, workers: WORKERS, checkpoints: [CHECKPOINT], env: FARM_ENV }))
  const gateway = new GatewayClient(farm.gatewayUrl)
  const counter = new StepCounter(farm)

  const start = performance.now()
  const straight = await gateway.submitJson({ items })
  const want = await endOf(farm, gateway, straight.id)
  console.log(`undisturbed: ${needed} steps in ${round((performance.now() - start) / 1000, 1)} s`)

  await counter.reset()
  const { id } = await gateway.submitJson({ items })
  await using watch = new ShardWatch(gateway, id)
  const ending = endOf(farm, gateway, id)
  const tooSoon = ending.then(() => {
    const seen = JSON.stringify(Object.fromEntries(watch.turns))
    throw new Error(`the batch ended before two workers could be lost: want more --steps; seen: ${seen}`)
  })
  const killed = await Promise.race([tooSoon, lose(farm, watch, needed, (name) => kill(farm, counter, name))])
  await Promise.race([tooSoon, watch.until(() => watch.resumedAtMs(killed.begun) !== null)])
  const drained = await Promise.race([tooSoon, lose(farm, watch, needed, (name) => drain(farm, counter, name))])
  await Promise.race([tooSoon, watch.until(() => watch.resumedAtMs(drained.begun) !== null)])
  const got = await ending
  await counter.readAll()

  const different = want.filter((name, i) => name !== got[i]).length
  if (different > 0) throw new Error(`${different} of ${want.length} pictures differ from those of the undisturbed run`)
  const wasted = (worker: string): number => counter.stepsOf(worker) - stepsBuiltOn(watch, worker, images * steps)
  console.log(`${want.length} pictures have the same bytes; ${counter.total} steps were taken, ${needed} are needed`)
  return {
    values: {
      recomputedFraction: round((counter.total - needed) / needed, 5),
      secondsToResume: round(secondsToResume(watch, killed)),
      killRecomputedFraction: round(wasted(killed.worker) / needed, 5),
      drainRecomputedFraction: round(wasted(drained.worker) / needed, 5),
      drainSecondsToResume: round(secondsToResume(watch, drained)),
      drainWriteSeconds: round(Math.max(...writesOf(directory, drained.worker, 'drain'))),
      periodicWrites: workersOf().flatMap((name) => writesOf(directory, name, 'periodic')).length,
      steps: needed,
    },
    baseline: 'the same batch undisturbed: its pictures, and the steps that it needs',
    pairs: 1,
  }
}

/** Waits for a clean end. @returns names of the pictures, which hold their hashes, in order */
async function endOf(farm: Farm, gateway: GatewayClient, id: string): Promise<string[]> {
  for await (const { items } of gateway.follow(id, new AbortController().signal)) {
    if (items.failed > 0) throw new Error(`${items.failed} items failed`)
  }
  using store = ObjectStore.open(farm.storeConfig)
  const { violations } = await verifyBatch(store, id)
  if (violations.length > 0) throw new Error(`the bucket is not clean: ${violations.join('; ')}`)
  const text = await (await gateway.download(`/api/v1/batches/${id}/output.jsonl`)).text()
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { index: number; images: { name: string }[] })
  return lines.toSorted((a, b) => a.index - b.index).flatMap(({ images }) => images.map(({ name }) => name))
}

/** In the batch's middle, ends the worker that has the most to lose. */
async function lose(
  farm: Farm,
  watch: ShardWatch,
  needed: number,
  end: (worker: string) => Promise<void>,
): Promise<Loss> {
  await watch.until(() => watch.stepsDone > needed / 2)
  const atRisk = (worker: string): number =>
    watch.begunBy(worker).reduce((sum, [, { stepsDone }]) => sum + stepsDone, 0)
  const alive = workersOf().filter((name) => name in farm.metricsUrls)
  const worker = alive.toSorted((a, b) => atRisk(b) - atRisk(a))[0]!
  const begun = watch.begunBy(worker)
  console.log(`${worker} goes, with ${begun.length} shards and ${atRisk(worker)} steps in its hands`)
  const atMs = performance.now()
  await end(worker)
  return { worker, atMs, begun }
}

async function kill(farm: Farm, counter: StepCounter, name: string): Promise<void> {
  await counter.read(name)
  await farm.kill(name, 'SIGKILL')
}

async function drain(farm: Farm, counter: StepCounter, name: string): Promise<void> {
  const program = farm.program(name)
  const gone = farm.kill(name, 'SIGTERM')
  while (program.isRunning()) await counter.read(name).catch(() => delay(1))
  await gone
}

function secondsToResume(watch: ShardWatch, { atMs, begun }: Loss): number {
  return (Math.max(...watch.resumedAtMs(begun)!) - atMs) / 1000
}

/** Steps of a worker that are in the pictures: of each of its shards, from what it took over to what was taken over from it. */
function stepsBuiltOn(watch: ShardWatch, worker: string, stepsOfShard: number): number {
  const parts = watch.turns.values().flatMap((turns) =>
    turns.map(({ workerId, stepsResumed }, i) => {
      const next = turns.slice(i + 1).find(({ firstStepAtMs }) => firstStepAtMs !== null)
      return workerId === worker ? (next?.stepsResumed ?? stepsOfShard) - stepsResumed : 0
    }),
  )
  return parts.reduce((sum, part) => sum + part, 0)
}

function workersOf(): string[] {
  return Array.from({ length: WORKERS }, (_, i) => `worker-${i + 1}`)
}

/** Seconds of each write of a shard's progress, by the worker's log. */
function writesOf(directory: string, worker: string, reason: string): number[] {
  const lines = readFileSync(path.join(directory, 'logs', `${worker}.log`), 'utf8').split('\n')
  const events = lines.filter((line) => line.includes('"progress written"')).map((line) => JSON.parse(line) as Write)
  return events.filter((event) => event.reason === reason).map(({ seconds }) => seconds)
}

interface Write {
  readonly reason: string
  readonly seconds: number
}
