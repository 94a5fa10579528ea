/**
 * `npm run observability [-- --pictures FOLDER]`: promtool checks the rules and tests every alert; then a real Prometheus scrapes
 * a real farm that renders and loses a worker, and every panel and rule is asked of it. A panel without data fails, but for those
 * that need what is not here, and those must have none. With pictures it renders for eight minutes, and draws them while it does.
 */
import { GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { panelExpressions } from './expressions.ts'
import { drawPanels, PICTURED_SECONDS } from './pictures.ts'
import { installPrometheus, Prometheus, promtool } from './prometheus.ts'
import { Work } from './work.ts'
import type { EndedItems } from './work.ts'

/** Two scrapes after the end, and one evaluation more. */
const SETTLE_MS = 4_000
/** Series of one process: more would weigh on a Prometheus that watches a thousand workers. */
const SERIES_LIMITS = { worker: 2_000, coordinator: 10_000, gateway: 10_000 } as const
/** Panels that have nothing to show here, by what they need. */
const WITHOUT_DATA: readonly (readonly [RegExp, string])[] = [
  [/DCGM_FI_/, 'DCGM and its exporter'],
  [/darkroom_gpu_(utilization|memory|power|temperature)/, 'an NVIDIA GPU'],
]
/** The worker that is killed in the middle. */
const REPLACED = 'worker-2'
/** Images that are rendered; with pictures more than there is time for, so that they show a farm at work. */
const IMAGES = 400
const IMAGES_FOR_PICTURES = 6_000
/** Longer than it renders. */
const RUN_SECONDS = 1_200
/** The rates of dashboards look back five minutes: wherever they are drawn, the farm was at work throughout. */
const PICTURED_MS = PICTURED_SECONDS * 1000
const AT_WORK_MS = 315_000 + PICTURED_MS

const { values } = parseArgs({ options: { pictures: { type: 'string' } } })
installPrometheus()
promtool('check', 'config', '--syntax-only', 'prometheus.yml')
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
  const work = await Work.submit(
    new GatewayClient(farm.gatewayUrl),
    values.pictures === undefined ? IMAGES : IMAGES_FOR_PICTURES,
  )
  await work.begunBy(REPLACED)
  if (values.pictures !== undefined) await delay(AT_WORK_MS - PICTURED_MS)
  await replace(farm, REPLACED)
  if (values.pictures !== undefined) {
    await delay(PICTURED_MS)
    await drawPanels(prometheus, values.pictures)
    await work.stop()
  }
  const ended = await work.ended()
  await delay(SETTLE_MS)
  const problems = [
    ...(await prometheus.brokenRules()),
    ...(await prometheus.missingPages()),
    ...(await emptyPanels(prometheus)),
    ...(await miscounted(prometheus, ended)),
    ...(await tooMany(prometheus)),
  ]
  for (const problem of problems) console.error(problem)
  console.log(
    JSON.stringify({ panels: new Set(panelExpressions().map(({ place }) => place)).size, problems: problems.length }),
  )
  if (problems.length > 0) process.exitCode = 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}

/** Kills a worker with what it has in hand, and starts another in its place, where Prometheus finds it. */
async function replace(farm: Farm, name: `worker-${number}`): Promise<void> {
  const { adminPort } = farm.program(name).ready
  await farm.kill(name)
  await farm.startWorker(Number(name.split('-')[1]), { DARKROOM_WORKER_ADMIN_PORT: String(adminPort) })
}

/** Where Prometheus has not counted what the gateway tells of the same batches, and the worker that was lost; or nothing failed. */
async function miscounted(prometheus: Prometheus, ended: EndedItems): Promise<readonly string[]> {
  console.log(`items: ${JSON.stringify(ended)}`)
  const samples = await prometheus.query('sum by (outcome) (darkroom_items_total)')
  const counted = new Map(samples.map(({ metric, value }) => [metric['outcome'], Number(value![1])]))
  const [lost] = await prometheus.query('sum(darkroom_lost_workers_total)')
  const lostWorkers = Number(lost?.value?.[1])
  return [
    ...(lostWorkers === 1 ? [] : [`one worker was killed, and Prometheus has ${lostWorkers}`]),
    ...Object.entries(ended).flatMap(([outcome, count]) => [
      ...(count > 0 ? [] : [`no item is ${outcome}`]),
      ...(counted.get(outcome) === count
        ? []
        : [`${count} items are ${outcome}, Prometheus has ${counted.get(outcome)}`]),
    ]),
  ]
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
