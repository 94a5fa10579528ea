import { GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { BenchResult } from './main.ts'
import { median, quantile, round } from './statistics.ts'

/**
 * Seconds of a picture that somebody waits for (`POST /v1/images/generations`) while the only worker renders a long batch, over
 * the same request to the farm when it is idle; and four of them at once. `batchShare`: images of the batch a second while
 * somebody asks all the time, over those while nobody does: what the waiting cost the batch.
 *
 * Predicted: 1.5 to 2.5 times. A picture waits for the calls under way, twice eight rows, and once more behind a decode; its own
 * calls go alone. Outcome (2 cores, 2026-11-26): 0.5 s, as on an idle farm; four at once 1.2 s; the batch keeps 0.85 of its rate.
 * Before, it waited for a place among the lanes, and then took its steps among eight rows: 7 to 15 s.
 */
const CHECKPOINT = path.resolve(import.meta.dirname, '../../deploy/checkpoints/emoji-sd')
const STEPS = 20
const AT_ONCE = 4

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { requests: { type: 'string', default: '12' } } })
  const requests = Number(values.requests)
  const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const farm = stack.use(await Farm.start({ directory, workers: 1, checkpoints: [CHECKPOINT] }))
  const gateway = new GatewayClient(farm.gatewayUrl)
  await ask(farm, 0)
  const idle = await oneByOne(farm, requests)
  const idleTogether = await together(farm)

  const { id } = await gateway.submitJson({ items: Array.from({ length: 2_000 }, (_, seed) => ({ ...PICTURE, seed })) })
  const rendered = async (): Promise<number> => (await gateway.batch(id)).items.rendered
  while ((await rendered()) === 0) await delay(200)
  const alone = await rate(rendered, () => delay(20_000))
  const busy: number[] = []
  const besides = await rate(rendered, async () => void busy.push(...(await oneByOne(farm, requests))))
  const busyTogether = await together(farm)
  await gateway.cancel(id)
  return {
    values: {
      ratio: round(median(busy) / median(idle)),
      idleSeconds: round(median(idle)),
      busySeconds: round(median(busy)),
      busySecondsP90: round(quantile(busy, 0.9)),
      togetherRatio: round(median(busyTogether) / median(idleTogether)),
      togetherBusySeconds: round(Math.max(...busyTogether)),
      batchShare: round(besides / alone),
    },
    baseline: 'the same request to the same farm when it is idle',
    pairs: requests,
  }
}

const PICTURE = {
  checkpoint: 'emoji-sd',
  prompt: 'a red apple',
  scheduler: 'EulerDiscreteScheduler',
  numInferenceSteps: STEPS,
  guidanceScale: 3.5,
}

async function oneByOne(farm: Farm, requests: number): Promise<number[]> {
  const seconds: number[] = []
  for (let n = 1; n <= requests; n++) seconds.push(await ask(farm, n))
  return seconds
}

function together(farm: Farm): Promise<number[]> {
  return Promise.all(Array.from({ length: AT_ONCE }, (_, n) => ask(farm, n)))
}

/** @returns seconds until the picture was here */
async function ask(farm: Farm, seed: number): Promise<number> {
  const start = performance.now()
  const response = await fetch(`${farm.gatewayUrl}/v1/images/generations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: PICTURE.checkpoint,
      prompt: PICTURE.prompt,
      response_format: 'b64_json',
      scheduler: PICTURE.scheduler,
      num_inference_steps: STEPS,
      guidance_scale: PICTURE.guidanceScale,
      seed,
    }),
  })
  const { data } = (await response.json()) as { data?: readonly { b64_json: string }[] }
  if (data?.[0]?.b64_json === undefined) throw new Error(`no picture came: ${response.status}`)
  return (performance.now() - start) / 1000
}

/** Images a second while `work` lasts. */
async function rate(rendered: () => Promise<number>, work: () => Promise<void>): Promise<number> {
  const [before, start] = [await rendered(), performance.now()]
  await work()
  return (1000 * ((await rendered()) - before)) / (performance.now() - start)
}
