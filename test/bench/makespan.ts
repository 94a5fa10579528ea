import { runToEnd } from '@darkroom/sim'
import { Random } from '@darkroom/sim/random'
import { parseArgs } from 'node:util'
import type { BenchResult } from './main.ts'
import { round } from './statistics.ts'

/**
 * How long a virtual farm takes for a batch, over the lower bound: the larger of all work, with one cold load for each worker,
 * over the sum of all speeds, and the longest shard on the fastest device. Workers of speeds 1, 0.6 and 0.25 in equal parts,
 * 12 checkpoints by Zipf's popularity, one in memory at a time, 20 s to swap; each item, 10 to 60 s, is a shard of its own.
 *
 * - ratio20, ratio100: with so many shards for each worker.
 * - ratioFaults: 20 for each, with 1 % of the workers killed in an hour, each replaced by an empty one, and 5 % at a fifth of
 *   their speed, which the bound knows; duplicatedWork: device seconds beyond those in commit records, over these, in that run.
 *
 * Prediction for a dispatcher that does not look at what a worker has loaded: about 2.0 and 1.5. For hedging and for taking
 * shards that have not begun away from slow workers: the tail shrinks from four times the longest shard to one and a load.
 *
 * Outcome, 2026-11-26, 1,000 workers: without a look at what is loaded ratio20 was 1.67 and ratio100 1.46; with placement by
 * what is loaded 1.38 and 1.10; with quick workers given the long shards and slow ones the short, waiting shards taken over and
 * stragglers hedged 1.13 and 1.05. Finalizing, which reads every record, was 2 % of both; it reads 64 at once now, not 16, and they
 * were 1.12 and 1.03, ratioFaults 1.09 with 0.019 of the work in vain.
 *
 * 2026-11-27: what was left of ratio20 were slow workers, which had begun their last shards because they happened to be free, 235
 * shards rendered twice for it, 500 loads, and 10 s in which a coordinator that has just begun to lead waits for its workers. A batch is
 * now submitted to a farm that is there; a worker takes only what others would not be done with sooner (core/outlook.ts), and the
 * longest first once all is planned. Predicted 1.02 to 1.05, since half a shard on a quick worker is left; measured 1.064, with
 * 430 late loads; ratio100 1.023, of which finalizing 100,000 shards is 0.008; ratioFaults 1.066, with 0.001 of the work in vain.
 *
 * 2026-11-28: of a popular checkpoint's last shards the longest of the next 128 was found, of 600; with the longest of 1,024 ratio20
 * 1.058 (1.055 with another seed), ratio100 1.022, ratioFaults 1.073. Tried beside it, with 300 workers and four seeds, and no better:
 * to give the last shards only to workers that have nothing in hand; to compare a worker with the end of all work rather than with
 * who would take its shard; to count a shard behind another one in hand without the time that it has waited there.
 */

const SPEEDS = [1, 0.6, 0.25]
const CHECKPOINTS = 12
const SWAP_SECONDS = 20
const SECONDS = { least: 10, most: 60 }
const STRAGGLERS = 0.05
const KILLED_PER_HOUR = 0.01

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { workers: { type: 'string', default: '1000' } } })
  const workers = Number(values.workers)
  const { ratio: ratio20 } = await measure(workers, 20)
  const { ratio: ratio100 } = await measure(workers, 100)
  const { ratio: ratioFaults, duplicatedWork } = await measure(workers, 20, true)
  const baseline = 'max(work with cold loads / sum of speeds, longest shard)'
  return { values: { ratio20, ratio100, ratioFaults, duplicatedWork }, baseline, pairs: 1 }
}

async function measure(
  workers: number,
  shardsPerWorker: number,
  hasFaults = false,
): Promise<{ ratio: number; duplicatedWork: number }> {
  const random = new Random(1)
  const weights = Array.from({ length: CHECKPOINTS }, (_, rank) => 1 / (rank + 1))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const pick = (): string => {
    let left = random.next() * total
    return `model-${weights.findIndex((weight) => (left -= weight) < 0)}`
  }
  const items = Array.from({ length: workers * shardsPerWorker }, () => ({
    checkpoint: pick(),
    seconds: random.between(SECONDS.least, SECONDS.most),
  }))
  const traits = Array.from({ length: workers }, (_, n) => {
    const isStraggler = hasFaults && random.chance(STRAGGLERS)
    return { speed: SPEEDS[n % 3]! / (isStraggler ? 5 : 1), swapSeconds: SWAP_SECONDS }
  })
  const start = performance.now()
  const killedPerHour = hasFaults ? KILLED_PER_HOUR : 0
  const { seconds, swaps, duplicatedWork } = await runToEnd({ seed: 1, items, workers: traits, killedPerHour })
  const speed = traits.reduce((sum, worker) => sum + worker.speed, 0)
  const volume = items.reduce((sum, item) => sum + item.seconds, 0) / speed + SWAP_SECONDS
  const bound = Math.max(volume, SWAP_SECONDS + Math.max(...items.map((item) => item.seconds)))
  const tookSeconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(
    `${shardsPerWorker} shards a worker${hasFaults ? ', with faults' : ''}: ${seconds.toFixed(0)} s, bound ${bound.toFixed(0)} s, ${swaps} swaps; simulated in ${tookSeconds} s`,
  )
  return { ratio: round(seconds / bound), duplicatedWork: round(duplicatedWork) }
}
