import { Random } from '@darkroom/sim/random'
import { CoreFarm } from './core-farm.ts'
import type { BenchResult } from './main.ts'
import { median, quantile, round } from './statistics.ts'

/**
 * Microseconds of one decision of the coordinator's core: a shard has ended, its tenant is charged what it took, and the next
 * is found for the worker that has room. Every farm has ten batches a worker, three tenants, three priorities and twelve
 * checkpoints; shards end in a random order.
 *
 * Prediction before the first run: 15 µs, twice that at a million shards, where nothing is in the processor's caches any more;
 * no growth of the work itself, as every index is a heap or a map. Measured 2026-11-26 on two busy cores: 4 to 8 µs everywhere.
 */

const WORKERS = [10, 100, 1_000]
const QUEUED = [1_000, 100_000, 1_000_000]
const DECISIONS = 4_000
const WARM_UP = 1_000
const BATCHES_PER_WORKER = 10
const MAX_BATCHES = 1_000

export async function run(): Promise<BenchResult> {
  const values: Record<string, number> = {}
  // The first farms pay for the compiler.
  for (const workers of WORKERS) measure(workers, 100_000)
  for (const workers of WORKERS) {
    for (const queued of QUEUED) {
      const times = measure(workers, Math.max(queued, 4 * workers))
      const [half, most] = [round(median(times), 1), round(quantile(times, 0.99), 1)]
      console.log(`${workers} workers, ${queued} shards: ${half} µs, p99 ${most} µs`)
      values[`medianUs${workers}Of${queued}`] = half
      if (queued === 100_000) values[`medianUs${workers}`] = half
      if (queued === 100_000 && workers === 1_000) values['p99Us1000'] = most
    }
  }
  return { values, baseline: 'none: absolute times of one decision', pairs: DECISIONS }
}

function measure(workers: number, queued: number): number[] {
  const random = new Random(7)
  const farm = new CoreFarm()
  const batches = Math.min(BATCHES_PER_WORKER * workers, MAX_BATCHES, queued)
  for (let n = 0; n < batches; n++) {
    farm.open({
      id: `b${n}`,
      tenant: `t${n % 3}`,
      priority: n % 9 === 0 ? 2 : n % 2,
      shards: Math.ceil(queued / batches),
      checkpointOf: (shard) => `checkpoint-${(n + shard) % 12}`,
    })
  }
  for (let n = 0; n < workers; n++) farm.addWorker(`w${n}`)
  const times: number[] = []
  for (let n = 0; n < WARM_UP + DECISIONS && farm.held.length > 0; n++) {
    farm.nowMs += 10
    const [ended] = farm.held.splice(random.below(farm.held.length), 1)
    const took = farm.end(ended!, random.between(0.5, 1.5))
    if (n >= Math.min(WARM_UP, queued / 4)) times.push(took)
  }
  return times
}
