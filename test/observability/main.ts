/**
 * `npm run observability [-- --pictures FOLDER]`: promtool checks the rules and tests every alert; then a real Prometheus scrapes
 * a real farm that renders, and every panel and rule is asked of it. A panel without data fails, but for those that need what is
 * not here, and those must have none.
 */
import { GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { panelExpressions } from './expressions.ts'
import { drawPanels } from './pictures.ts'
import { installPrometheus, Prometheus, promtool } from './prometheus.ts'

/** Two scrapes after the end, and one evaluation more. */
const SETTLE_MS = 4_000
/** Series of one process: more would weigh on a Prometheus that watches a thousand workers. */
const SERIES_LIMITS = { worker: 2_000, coordinator: 10_000, gateway: 10_000 } as const
/** Panels that have nothing to show here, by what they need. */
const WITHOUT_DATA: readonly (readonly [RegExp, string])[] = [
  [/DCGM_FI_/, 'DCGM and its exporter'],
  [/darkroom_gpu_(utilization|memory|power|temperature)/, 'an NVIDIA GPU'],
]
const SCHEDULERS = [
  'EulerDiscreteScheduler',
  'DDIMScheduler',
  'PNDMScheduler',
  'DPMSolverMultistepScheduler',
  'UniPCMultistepScheduler',
  'EulerAncestralDiscreteScheduler',
]
const ITEMS = 400
/** Longer than it renders. */
const RUN_SECONDS = 600

const { values } = parseArgs({ options: { pictures: { type: 'string' } } })
installPrometheus()
promtool('check', 'rules', 'rules.yaml')
promtool('test', 'rules', 'rules.test.yaml')

const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-observability-'))
try {
  await using farm = await Farm.start({
    directory,
    workers: 2,
    env: { coordinator: { DARKROOM_COORDINATOR_PRICE_PER_DEVICE_SECOND: '0.0007' } },
  })
  await using prometheus = await Prometheus.start(path.join(directory, 'prometheus'), farm.metricsUrls)
  await render(new GatewayClient(farm.gatewayUrl))
  await delay(SETTLE_MS)
  const problems = [
    ...(await prometheus.brokenRules()),
    ...(await emptyPanels(prometheus)),
    ...(await tooMany(prometheus)),
  ]
  if (values.pictures !== undefined) await drawPanels(prometheus, values.pictures)
  for (const problem of problems) console.error(problem)
  console.log(
    JSON.stringify({ panels: new Set(panelExpressions().map(({ place }) => place)).size, problems: problems.length }),
  )
  if (problems.length > 0) process.exitCode = 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}

/** Some batches, one of which is cancelled and one of which has an item that fails. */
async function render(gateway: GatewayClient): Promise<void> {
  const items = Array.from({ length: ITEMS }, (_, i) => ({
    checkpoint: i % 10 === 0 ? 'emoji-ddpm' : 'emoji-sd',
    ...(i % 10 !== 0 && { prompt: 'a red apple', guidanceScale: 3.5 }),
    scheduler: SCHEDULERS[i % SCHEDULERS.length],
    numInferenceSteps: 10 + (i % 3) * 10,
    seed: i,
  }))
  const cancelled = await gateway.submitJson({ items: items.slice(0, 64) })
  await gateway.cancel(cancelled.id)
  const first = await gateway.submitJson({ items })
  const second = await gateway.submitJson({ items: items.slice(0, 100) })
  for (const { id } of [first, second]) {
    let state = ''
    for await (const batch of gateway.follow(id, new AbortController().signal)) state = batch.state
    console.log(`batch ${id} ${state}`)
  }
}

async function emptyPanels(prometheus: Prometheus): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { place, expr } of panelExpressions()) {
    const samples = await prometheus.queryRange(expr, RUN_SECONDS, 5)
    const reason = WITHOUT_DATA.find(([pattern]) => pattern.test(expr))?.[1]
    if (reason === undefined && samples.length === 0) problems.push(`${place}: no data: ${expr}`)
    if (reason !== undefined && samples.length > 0) problems.push(`${place}: has data, and was said to need ${reason}`)
  }
  return problems
}

async function tooMany(prometheus: Prometheus): Promise<readonly string[]> {
  const problems: string[] = []
  for (const [job, limit] of Object.entries(SERIES_LIMITS)) {
    const samples = await prometheus.query(`count by (instance) ({job="${job}"})`)
    const most = Math.max(...samples.map(({ value }) => Number(value![1])))
    console.log(`${job}: ${most} series of at most ${limit}`)
    if (!(most <= limit)) problems.push(`${job}: ${most} series, more than ${limit}`)
  }
  return problems
}
