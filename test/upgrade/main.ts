import { ObjectStore, pushCheckpoint } from '@darkroom/chassis'
import { GatewayClient } from '@darkroom/cli'
import { LoopbackCluster, render, Service } from '@darkroom/helm/loopback'
import type { Pod } from '@darkroom/helm/loopback'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ShardWatch } from '../bench/shard-watch.ts'
import { round } from '../bench/statistics.ts'
import { StepCounter } from '../bench/step-counter.ts'
import { audit, awaitEnds } from '../chaos/audit.ts'
import { Clients } from './clients.ts'
import { HandOvers } from './hand-overs.ts'
import { Rollout } from './rollout.ts'

/**
 * Rehearses `helm upgrade`: what the chart renders runs as processes, and while they render a batch every pod is replaced as
 * Kubernetes would replace it: first the workers, then the coordinators, then the gateways; and once more all of them at the same
 * time, which is what `helm upgrade` begins. Clients poll, follow events and submit small batches meanwhile, through a service that
 * knows the ready gateways:
 *
 *   npm run rehearse-upgrade
 *   npm run rehearse-upgrade -- --steps 900
 *
 * By default an image has as many steps as keep two workers of this machine busy for longer than the upgrade takes. Before, the
 * same batch runs undisturbed: every picture must have the same bytes. Nothing may be lost or come twice, by
 * `darkroom verify` and by what the ledger charges; no client may see what three retries, when the answers ask for them, do not
 * cure; a shard that was taken over must go on where its worker was told to end. The last line is JSON; the exit code is 1 where
 * any of it does not hold.
 *
 * recomputedFraction: denoising steps that all workers have taken, less those that the batches need, over those.
 */
const { values } = parseArgs({ options: { steps: { type: 'string' } } })
if (values.steps !== undefined && !(Number.isInteger(Number(values.steps)) && Number(values.steps) > 0))
  throw new RangeError(`--steps is ${values.steps}; want a whole number.`)

const ROOT = path.resolve(import.meta.dirname, '../..')
const CHECKPOINT = path.join(ROOT, 'deploy/checkpoints/emoji-sd')
const ROLES = ['worker', 'coordinator', 'gateway']
/** None calls the model more often than once a step; two of them draw noise at each. */
const SCHEDULERS = ['EulerDiscreteScheduler', 'EulerAncestralDiscreteScheduler', 'DDIMScheduler', 'DDPMScheduler']
const ITEMS = 4
const IMAGES = 2
/** Steps of an image: all that the schedulers have, with the offset of some, and of the first batch, which tells how quick a machine is. */
const MOST_STEPS = 999
const FIRST_STEPS = 100
/** That the batch takes undisturbed, by warm workers: the upgrade takes less, although half of the workers are away then. */
const WANTED_SECONDS = 40
/** Fewer steps than are needed: the counting would have missed some. */
const MOST_MISSED = 0.02
/** A drain costs a step or two of each lane, and a shard that two leaders dispatch is called off at one of its workers. */
const MOST_RECOMPUTED = 0.02
const PATIENCE_MS = 180_000

const shared = { checkpoint: 'emoji-sd', prompt: 'a red apple', guidanceScale: 1, width: 96, height: 96 }
const itemsOf = (numInferenceSteps: number) =>
  Array.from({ length: ITEMS }, (_, n) => {
    return {
      ...shared,
      scheduler: SCHEDULERS[n % SCHEDULERS.length],
      seed: n * IMAGES,
      numInferenceSteps,
      numImages: IMAGES,
    }
  })
const small = { ...shared, scheduler: 'DDIMScheduler', seed: 1_000, numInferenceSteps: 4 }

const start = performance.now()
const tell = (line: string): void => {
  console.log(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${line}`)
}
const findings: string[] = []
const found = (finding: string): void => {
  findings.push(finding)
  tell(`NOT SO: ${finding}`)
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'darkroom-upgrade-'))
await using stack = new AsyncDisposableStack()
// Logs of a farm that is found wanting stay.
stack.defer(() => {
  if (findings.length === 0) rmSync(folder, { recursive: true, force: true })
})
const objects = await render('--values', path.join(import.meta.dirname, 'values.yaml'))
const cluster = stack.use(await LoopbackCluster.start({ objects, folder }))
const service = stack.use(await Service.start(8080))
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(name, () => void stack.disposeAsync().finally(() => process.exit(130)))
{
  using store = ObjectStore.open(cluster.storeConfig)
  await pushCheckpoint(store, CHECKPOINT, { name: 'emoji-sd', tag: 'latest' })
}
const clients = new Clients(service.url)
const gateway = new GatewayClient(service.url)
const workerPods = {
  get metricsUrls(): Record<string, string> {
    return Object.fromEntries(cluster.pods('worker').map(({ name, ip }) => [name, `http://${ip}:9092/metrics`]))
  },
}
const counter = new StepCounter(workerPods)
let handOvers: HandOvers | null = null
const rollout = new Rollout(cluster, service, (pod) => {
  tell(`${pod.name} is told to end`)
  if (pod.role !== 'worker') return
  handOvers?.note(pod.name)
  void countToTheEnd(pod)
})
for (const role of ROLES) await rollout.install(role)
tell(`the farm of the chart is up: ${ROLES.map((role) => `${cluster.pods(role).length} × ${role}`).join(', ')}`)

const undisturbed = [await renderUndisturbed(Number(values.steps ?? FIRST_STEPS))]
while (isTooShort(undisturbed.at(-1)!)) undisturbed.push(await renderUndisturbed(longer(undisturbed.at(-1)!)))
const { steps } = undisturbed.at(-1)!
const needed = ITEMS * IMAGES * steps
tell(`the batch, of ${steps} steps an image, has been rendered undisturbed: the pictures to compare with`)
await counter.reset()

const { id } = await gateway.submitJson({ items: itemsOf(steps) })
await using watch = new ShardWatch(clients, id)
handOvers = new HandOvers(watch)
const stop = new AbortController()
const going = [clients.follow(id), clients.poll(id, stop.signal), clients.submit(small, stop.signal)]
await watch.until(() => watch.stepsDone > needed / 10)
for (const role of ROLES) {
  await rollout.upgrade(role)
  tell(`every ${role} is new; ${watch.stepsDone} of ${needed} steps are done`)
}
await Promise.all(ROLES.map((role) => rollout.upgrade(role)))
tell(`all of them were replaced once more, at the same time; ${watch.stepsDone} of ${needed} steps are done`)
if ((await gateway.batch(id)).state !== 'running') found('the batch had ended before the upgrade: want more --steps')
stop.abort()
await Promise.all(going)
const ends = await awaitEnds({ farm: cluster }, PATIENCE_MS)
await counter.readAll()
tell('the batch has been rendered')

const accepted = new Set([...undisturbed.map((batch) => batch.id), id, ...clients.submitted])
const { findings: wrong, ...report } = await audit({ farm: cluster }, accepted, ends)
for (const finding of wrong) found(finding)
if (report.batches !== accepted.size)
  found(`${report.batches} batches are in the bucket, ${accepted.size} were accepted`)
for (const failure of clients.failures) found(failure)
for (const end of rollout.ends) if (end.wasKilled) found(`${end.pod} had not ended within its grace`)
const { total } = await gateway.ledger({ by: 'batch' })
const stepsSmall = 4 * clients.submitted.size
const stepsUndisturbed = undisturbed.reduce((sum, batch) => sum + ITEMS * IMAGES * batch.steps, 0)
const asked = {
  images: (undisturbed.length + 1) * ITEMS * IMAGES + clients.submitted.size,
  steps: stepsUndisturbed + needed + stepsSmall,
}
if (total.images !== asked.images || total.steps !== asked.steps)
  found(`the ledger charges ${total.images} images and ${total.steps} steps, not ${asked.images} and ${asked.steps}`)
const { takenOver, held } = handOvers
const gaveUp = new Set(takenOver.map(({ worker }) => worker))
for (const { pod } of rollout.ends)
  if (/\bworker-/.test(pod) && !gaveUp.has(pod)) found(`${pod} ended without a lane in the middle of its denoising`)
for (const { worker, shardId, stepsDone, stepsResumed } of takenOver) {
  if (stepsResumed >= stepsDone)
    tell(`${shardId} of ${worker} went on at step ${stepsResumed}, it had told of ${stepsDone}`)
  else found(`${shardId} of ${worker} went on at step ${stepsResumed}, although it had done ${stepsDone}`)
}
const stepsNeeded = needed + stepsSmall
const recomputedFraction = round((counter.total - stepsNeeded) / stepsNeeded, 5)
if (recomputedFraction > MOST_RECOMPUTED || recomputedFraction < -MOST_MISSED)
  found(`${counter.total} steps were counted, ${stepsNeeded} are needed`)

process.exitCode = findings.length > 0 ? 1 : 0
if (findings.length > 0) tell(`the end of each log is in ${path.join(folder, 'logs')}`)
console.log(
  JSON.stringify({
    ok: findings.length === 0,
    seconds: round((performance.now() - start) / 1000, 1),
    replaced: rollout.ends.length,
    slowestEndSeconds: round(Math.max(...rollout.ends.map(({ seconds }) => seconds)), 1),
    shardsHeld: held,
    shardsTakenOver: takenOver.length,
    stepsTakenOver: takenOver.reduce((sum, { stepsResumed }) => sum + stepsResumed, 0),
    steps: stepsNeeded,
    recomputedFraction,
    ...report,
    ...clients.counts,
    failures: clients.failures.length,
  }),
)

interface Undisturbed {
  readonly id: string
  readonly steps: number
  readonly seconds: number
}

async function renderUndisturbed(steps: number): Promise<Undisturbed> {
  const begun = performance.now()
  const { id } = await gateway.submitJson({ items: itemsOf(steps) })
  await clients.follow(id)
  return { id, steps, seconds: (performance.now() - begun) / 1000 }
}

function isTooShort({ steps, seconds }: Undisturbed): boolean {
  return values.steps === undefined && steps < MOST_STEPS && seconds < WANTED_SECONDS
}

/** Steps with which the batch takes a little longer than it must. */
function longer({ steps, seconds }: Undisturbed): number {
  return Math.min(MOST_STEPS, Math.ceil((1.1 * steps * WANTED_SECONDS) / seconds))
}

/** Reads a worker's count until it is gone. */
async function countToTheEnd({ name, program }: Pod): Promise<void> {
  while (program.isRunning()) {
    await counter.read(name).catch(() => {})
    await delay(10)
  }
}
