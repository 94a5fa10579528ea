import { GatewayClient } from '@darkroom/cli'
import { SCHEDULERS } from '@darkroom/diffusion'
import { Farm } from '@darkroom/local'
import { Random } from '@darkroom/sim/random'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { BenchResult } from './main.ts'

/**
 * Whether a picture depends on its request alone. The same requests, of every scheduler that both shipped checkpoints take, many
 * sizes, step counts and guidance scales, are rendered by a farm of real processes:
 * one at a time on one worker; in random batches on one worker; in random batches on three workers, of which one is killed and
 * another told to leave while they render. Compared are whole files, by their hash.
 *
 * Prediction: all identical on the CPU. onnxruntime's kernels there give a row the same sums in any company, and whatever a lane
 * remembers goes with it.
 */

const REQUESTS = 60
const SHARDS = { coordinator: { DARKROOM_COORDINATOR_TARGET_SHARD_SECONDS: '1' } }
const TEXT_SIZES = [
  [64, 64],
  [48, 64],
  [64, 96],
] as const
/** Need a picture to start from, or a model of their own. */
const NOT_FOR_THESE = /RePaint|Inverse|UnCLIP|CMStochastic|ScoreSdeVe|FlowMatch|EDM|IPNDM/

type Item = Readonly<Record<string, unknown>> & { readonly customId: string }

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({
    args: [...args],
    options: { requests: { type: 'string', default: String(REQUESTS) } },
  })
  const random = new Random(7)
  const requests = Array.from({ length: Number(values.requests) }, (_, i) => requestOf(i, random))
  const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-identity-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const farm = stack.use(await Farm.start({ directory, workers: 1, env: SHARDS }))
  const gateway = new GatewayClient(farm.gatewayUrl)

  const alone = new Map<string, string>()
  for (const request of requests) {
    for (const [id, name] of await render(gateway, [request])) alone.set(id, name)
  }
  console.log(`${alone.size} requests rendered alone`)
  let compared = 0
  let identical = 0
  const compare = (what: string, names: ReadonlyMap<string, string>): void => {
    const same = requests.filter(({ customId }) => names.get(customId) === alone.get(customId)).length
    console.log(`${what}: ${same} of ${requests.length} identical`)
    for (const { customId, ...fields } of requests) {
      if (names.get(customId) !== alone.get(customId)) console.log(`differs: ${JSON.stringify(fields)}`)
    }
    compared += requests.length
    identical += same
  }

  compare('random batches, one worker', await inRandomBatches(gateway, requests, random))
  await Promise.all([farm.startWorker(2), farm.startWorker(3)])
  compare('random batches, three workers', await inRandomBatches(gateway, requests, random))
  const disturbed = inRandomBatches(gateway, requests, random)
  await untilRendering(gateway)
  await farm.kill('worker-1')
  await farm.kill('worker-2', 'SIGTERM')
  await farm.startWorker(1)
  compare('random batches, a worker killed and another told to leave', await disturbed)
  return {
    values: { requests: compared, identical, identicalFraction: identical / compared },
    baseline: 'the same requests, each rendered alone on one worker',
    pairs: 3,
  }
}

function requestOf(i: number, random: Random): Item {
  const schedulers = Object.keys(SCHEDULERS).filter((name) => !NOT_FOR_THESE.test(name))
  const common = {
    customId: `request-${i}`,
    scheduler: schedulers[i % schedulers.length]!,
    numInferenceSteps: random.pick([3, 5, 8, 12, 20]),
    seed: i,
  }
  if (i % 5 === 4) return { ...common, checkpoint: 'emoji-ddpm' }
  const [width, height] = random.pick(TEXT_SIZES)
  const prompt = random.pick(['a red apple', 'a cat', 'the sun', 'a panda', 'a rocket'])
  return { ...common, checkpoint: 'emoji-sd', prompt, guidanceScale: random.pick([1, 3.5, 7.5]), width, height }
}

/** @returns by custom id the file's name, which holds the hash of its bytes */
async function render(gateway: GatewayClient, items: readonly Item[]): Promise<Map<string, string>> {
  const { id } = await gateway.submitJson({ items })
  for await (const { items: counts } of gateway.follow(id, new AbortController().signal)) {
    if (counts.failed > 0) throw new Error(`${counts.failed} items failed`)
  }
  const lines = await (await gateway.download(`/api/v1/batches/${id}/output.jsonl`)).text()
  return new Map(
    lines
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { customId: string; images: readonly { sha256: string }[] })
      .map(({ customId, images }) => [customId, images[0]!.sha256]),
  )
}

/** Cut at random into batches of one to twelve, all submitted at once. */
async function inRandomBatches(
  gateway: GatewayClient,
  requests: readonly Item[],
  random: Random,
): Promise<Map<string, string>> {
  const left = requests.map((request) => ({ request, key: random.next() })).toSorted((a, b) => a.key - b.key)
  const batches: Item[][] = []
  while (left.length > 0) batches.push(left.splice(0, 1 + random.below(12)).map(({ request }) => request))
  const rendered = await Promise.all(batches.map((batch) => render(gateway, batch)))
  return new Map(rendered.flatMap((names) => [...names]))
}

async function untilRendering(gateway: GatewayClient): Promise<void> {
  for (;;) {
    const workers = await gateway.workers()
    const areBusy = ['worker-1', 'worker-2'].every((id) =>
      workers.some((worker) => worker.id === id && worker.running.some(({ stepsDone }) => stepsDone > 0)),
    )
    if (areBusy) return
  }
}
