import { machine } from './processes.ts'

export interface BenchResult {
  readonly values: Record<string, unknown>
  readonly baseline: string
  readonly pairs: number
}

const BENCHES: Record<string, () => Promise<{ run: (args: readonly string[]) => Promise<BenchResult> }>> = {
  decision: () => import('./decision.ts'),
  dispatch: () => import('./dispatch.ts'),
  encode: () => import('./encode.ts'),
  'farm-overhead': () => import('./farm-overhead.ts'),
  fairness: () => import('./fairness.ts'),
  gateway: () => import('./gateway.ts'),
  gpu: () => import('./gpu.ts'),
  identity: () => import('./identity.ts'),
  ingest: () => import('./ingest.ts'),
  interactive: () => import('./interactive.ts'),
  makespan: () => import('./makespan.ts'),
  memory: () => import('./memory.ts'),
  recovery: () => import('./recovery.ts'),
  resume: () => import('./resume.ts'),
  'scheduler-step': () => import('./scheduler-step.ts'),
  'step-batching': () => import('./step-batching.ts'),
}

const [name, ...args] = process.argv.slice(2)
const load = name === undefined ? undefined : BENCHES[name]
if (load === undefined) {
  console.error(`usage: npm run --silent bench -- NAME, NAME one of: ${Object.keys(BENCHES).join(', ')}`)
  process.exitCode = 2
} else {
  const { run } = await load()
  const result = await run(args)
  console.log(JSON.stringify({ bench: name, ...result, machine: machine() }))
}
