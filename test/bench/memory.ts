import { COORDINATOR_NODE_FLAGS } from '@darkroom/local'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { BenchResult } from './main.ts'

/**
 * Growth of memory while the core and the planner take a batch of ten million items from its opening to its end, in a process
 * that is started as a coordinator is: each segment is read, cut and planned when its turn comes, and its shards are dispatched to
 * eight workers and end. The object store makes the items up and keeps nothing. Growth is the highest resident memory over what
 * was there when everything was loaded and a tenth of a million items had warmed it up; `liveGrowthMiB` is what is left of the heap
 * after a collection in the middle of the batch.
 *
 * Prediction before the first run: 30 MiB. Measured 2026-11-26: 140 to 190 MiB, all of it garbage that V8 let lie: the live heap
 * does not grow with the batch. The trace of collections (2026-11-27) shows a nursery of 64 MiB whose survivors fill the old space
 * as fast. `COORDINATOR_NODE_FLAGS` bound both, predicted 60 MiB: 11 to 30 with 4 to 16 MiB of nursery, at the same speed.
 */
const PROCESS = path.join(import.meta.dirname, 'memory-process.ts')

/** What the process tells at its end. */
export interface MemoryFigures {
  readonly rssGrowthMiB: number
  readonly liveGrowthMiB: number
  readonly items: number
  readonly itemsPerSecond: number
}

export async function run(args: readonly string[]): Promise<BenchResult> {
  const { values } = parseArgs({ args: [...args], options: { items: { type: 'string', default: '10000000' } } })
  const child = fork(PROCESS, [values.items], { execArgv: [...COORDINATOR_NODE_FLAGS] })
  const exited = once(child, 'exit')
  const [figures] = (await Promise.race([
    once(child, 'message'),
    exited.then(([code]) =>
      Promise.reject(new Error(`the process ended with ${String(code)} before it had any figures`)),
    ),
  ])) as [MemoryFigures]
  await exited
  return {
    values: { ...figures },
    baseline: 'none: resident memory of the process, which made the items up too',
    pairs: 1,
  }
}
