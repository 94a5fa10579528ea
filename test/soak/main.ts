import { GatewayClient } from '@darkroom/cli'
import { Farm } from '@darkroom/local'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { rssMiBOf } from '../bench/processes.ts'
import { slopeOf } from './slope.ts'
import type { Slope } from './slope.ts'

/**
 * Renders without a pause and looks whether anything creeps: images per second, and resident memory and open files of every
 * process. A slope counts where noise does not explain it and it moved more over the run than a garbage collector does: then
 * the exit code is 1. So the longer the run, the smaller a leak it finds; a minute shows that the command works.
 */

const SAMPLES = 60
const ITEMS = 64
/** The start of a run, in which pools fill and code is compiled. */
const WARM_UP = 1 / 3
/**
 * What may change over the part of a run that is looked at. Images per second: share of their mean. Memory: garbage grows by up to 115
 * MiB in two minutes, at 27 images a second, before V8 collects all of it in one go.
 */
const TOLERATED = { imagesPerSecond: 0.1, rssMiB: 128, handles: 6 }

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } })
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new RangeError(`--minutes is ${values.minutes}; want a positive number.`)

const directory = mkdtempSync(path.join(os.tmpdir(), 'darkroom-soak-'))
await using stack = new AsyncDisposableStack()
stack.defer(() => rmSync(directory, { recursive: true, force: true }))
const farm = stack.use(await Farm.start({ directory, workers: 1 }))
const gateway = new GatewayClient(farm.gatewayUrl)
const stop = new AbortController()
const feeding = feed()
stack.defer(() => feeding)

const series = new Map<string, { readonly tolerated: number; readonly points: [hours: number, value: number][] }>()
const note = (name: string, tolerated: number, hours: number, value: number): void => {
  const known = series.get(name) ?? { tolerated, points: [] }
  known.points.push([hours, value])
  series.set(name, known)
}
const start = performance.now()
let imagesBefore = await imagesRendered()
let sampledAt = start
for (let sample = 1; sample <= SAMPLES; sample++) {
  await delay(start + (sample * minutes * 60_000) / SAMPLES - performance.now())
  const now = performance.now()
  const hours = (now - start) / 3_600_000
  const images = await imagesRendered()
  const speed = (images - imagesBefore) / ((now - sampledAt) / 1000)
  note('imagesPerSecond', TOLERATED.imagesPerSecond, hours, speed)
  for (const { name, pid } of farm.programs) {
    note(`${name} rssMiB`, TOLERATED.rssMiB, hours, rssMiBOf(pid))
    note(`${name} handles`, TOLERATED.handles, hours, readdirSync(`/proc/${pid}/fd`).length)
  }
  const memory = farm.programs.map(({ name, pid }) => `${name} ${rssMiBOf(pid).toFixed(0)}`)
  console.log(`${(hours * 60).toFixed(1)} min: ${speed.toFixed(2)} images/s; MiB: ${memory.join(', ')}`)
  imagesBefore = images
  sampledAt = now
}
stop.abort()

const slopes: Record<string, Slope> = {}
const creeping: string[] = []
for (const [name, { tolerated, points }] of series) {
  const settled = points.slice(Math.floor(points.length * WARM_UP))
  const slope = slopeOf(settled)
  const scale = name === 'imagesPerSecond' ? slope.mean : 1
  const hours = settled.at(-1)![0] - settled[0]![0]
  slopes[name] = slope
  // Speed may rise, memory and files may fall.
  const bad = name === 'imagesPerSecond' ? -slope.perHour : slope.perHour
  if ((bad * hours) / scale > tolerated && bad > 3 * slope.standardError) creeping.push(name)
}
console.log(JSON.stringify({ minutes, samples: SAMPLES, images: imagesBefore, slopes, creeping }))
process.exitCode = creeping.length > 0 ? 1 : 0

async function imagesRendered(): Promise<number> {
  return (await gateway.workers()).reduce((sum, worker) => sum + worker.imagesRendered, 0)
}

/** Two batches at a time, so that the farm never waits for the next. */
async function feed(): Promise<void> {
  let seed = 0
  const one = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const items = Array.from({ length: ITEMS }, (_, i) => ({
        checkpoint: i % 4 === 0 ? 'emoji-ddpm' : 'emoji-sd',
        ...(i % 4 !== 0 && { prompt: `a cat, number ${seed}` }),
        numInferenceSteps: 4 + (i % 9),
        seed: seed++,
      }))
      const { id } = await gateway.submitJson({ items })
      for await (const { state } of gateway.follow(id, stop.signal)) if (state === 'completed') break
    }
  }
  await Promise.all([one(), one()])
}
