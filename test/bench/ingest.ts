import { GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { BenchResult } from './main.ts'
import { rssMiBOf } from './processes.ts'
import { round } from './statistics.ts'

/**
 * Generated NDJSON prompts, streamed in one request: accepted means stored, every line validated and completed. No worker is
 * there, so that nothing else is measured. Growth of resident memory is the highest seen from before the first byte until
 * five seconds after the answer, when the coordinator has opened the batch and planned ahead.
 */

const CHECKPOINT = path.resolve(import.meta.dirname, '../../deploy/checkpoints/emoji-sd')
const SUBJECTS = [
  'a cat',
  'a red apple',
  'the sun',
  'a panda',
  'a rocket',
  'a blue heart',
  'a christmas tree',
  'an owl',
]
const SCHEDULERS = ['PNDMScheduler', 'EulerDiscreteScheduler', 'DDIMScheduler', 'DDPMScheduler']
const LINES_PER_CHUNK = 500
const SAMPLE_MS = 50
const AFTER_MS = 5_000

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { prompts: { type: 'string', default: '1000000' } } })
  const prompts = Number(values.prompts)
  const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-bench-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const farm = stack.use(await Farm.start({ directory, workers: 0, checkpoints: [CHECKPOINT] }))
  const gateway = new GatewayClient(farm.gatewayUrl)
  await gateway.submitNdjson(lines(1_000), {})

  const watched = {
    gateway: new PeakMemory(farm.program('gateway').pid),
    coordinator: new PeakMemory(farm.program('coordinator-0').pid),
  }
  const sampling = setInterval(() => Object.values(watched).forEach((memory) => memory.sample()), SAMPLE_MS)
  const start = performance.now()
  const batch = await gateway.submitNdjson(lines(prompts), {})
  const seconds = (performance.now() - start) / 1000
  await delay(AFTER_MS)
  clearInterval(sampling)
  if (batch.itemCount !== prompts) throw new Error(`${batch.itemCount} items were accepted of ${prompts}`)
  console.log(`${prompts} prompts accepted in ${seconds.toFixed(1)} s`)
  return {
    values: {
      promptsPerSecond: Math.round(prompts / seconds),
      gatewayRssGrowthMiB: round(watched.gateway.growth, 1),
      coordinatorRssGrowthMiB: round(watched.coordinator.growth, 1),
      prompts,
    },
    baseline: 'none: one client process on the same machine, beside the S3 server with fsync',
    pairs: 1,
  }
}

function lines(count: number): Readable {
  function* chunks(): Generator<string> {
    for (let first = 0; first < count; first += LINES_PER_CHUNK) {
      let chunk = ''
      for (let i = first; i < Math.min(first + LINES_PER_CHUNK, count); i++) {
        chunk += `{"checkpoint":"emoji-sd","prompt":"${SUBJECTS[i % 8]} number ${i}","scheduler":"${SCHEDULERS[i % 4]}","numInferenceSteps":20,"guidanceScale":3.5}\n`
      }
      yield chunk
    }
  }
  return Readable.from(chunks(), { objectMode: false })
}

class PeakMemory {
  readonly #pid: number
  readonly #before: number
  #peak: number

  constructor(pid: number) {
    this.#pid = pid
    this.#before = rssMiBOf(pid)
    this.#peak = this.#before
  }

  sample(): void {
    this.#peak = Math.max(this.#peak, rssMiBOf(this.#pid))
  }

  get growth(): number {
    return this.#peak - this.#before
  }
}
