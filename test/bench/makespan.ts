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
 *
 * Prediction for a dispatcher that does not look at what a worker has loaded: about 2.0 and 1.5.
 *
 * Outcome, 2026-11-26, 1,000 workers: with such a one ratio20 was 1.67 (17,325 swaps for 20,000 shards) and ratio100 1.46; with
 * placement by what is loaded they are 1.38 (1,356 swaps) and 1.10, simulated in 30 and 135 s beside other work. What is left is
 * mostly the tail on slow devices: the last shards go to whoever is free, and nothing is hedged.
 */

const SPEEDS = [1, 0.6, 0.25]
const CHECKPOINTS = 12
const SWAP_SECONDS = 20
const SECONDS = { least: 10, most: 60 }

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { workers: { type: 'string', default: '1000' } } })
  const workers = Number(values.workers)
  const ratios = { ratio20: await ratioOf(workers, 20), ratio100: await ratioOf(workers, 100) }
  return { values: ratios, baseline: 'max(work with cold loads / sum of speeds, longest shard)', pairs: 1 }
}

async function ratioOf(workers: number, shardsPerWorker: number): Promise<number> {
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
  const traits = Array.from({ length: workers }, (_, n) => ({ speed: SPEEDS[n % 3]!, swapSeconds: SWAP_SECONDS }))
  const start = performance.now()
  const { seconds, swaps } = await runToEnd({ seed: 1, items, workers: traits })
  const speed = traits.reduce((sum, worker) => sum + worker.speed, 0)
  const volume = items.reduce((sum, item) => sum + item.seconds, 0) / speed + SWAP_SECONDS
  const bound = Math.max(volume, SWAP_SECONDS + Math.max(...items.map((item) => item.seconds)))
  const tookSeconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(
    `${shardsPerWorker} shards a worker: ${seconds.toFixed(0)} s, bound ${bound.toFixed(0)} s, ${swaps} swaps; simulated in ${tookSeconds} s`,
  )
  return round(seconds / bound)
}
