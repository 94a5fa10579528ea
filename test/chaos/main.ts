import { Random } from '@darkroom/sim/random'
import { mkdtempSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { audit, awaitEnds } from './audit.ts'
import { ChaosFarm } from './chaos-farm.ts'
import { FAULTS, targetOf } from './faults.ts'
import type { FaultKind } from './faults.ts'
import { Load } from './load.ts'

/**
 * Real processes, a real nats-server and the local S3 server, with a proxy between every two of them. Batches are rendered without
 * a pause while faults strike, two at a time; then all is well again, every batch has to end, and everything in the bucket is
 * looked at:
 *
 *   npm run chaos -- --minutes 10
 *   npm run chaos -- --minutes 2 --seed 7 --json
 *
 * The seed repeats the order of the faults; when they strike is up to the machine. The last line is JSON. The exit code is 1 where
 * anything was lost, doubled or wrong. It must be allowed to mount a disk in memory.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new RangeError(`--minutes is ${values.minutes}; want a positive number.`)
const seed = Number(values.seed)
if (!Number.isInteger(seed)) throw new RangeError(`--seed is ${values.seed}; want a whole number.`)

const AT_ONCE = 2
const FEEDERS = 4
const LULL_MS = 1_000
const PATIENCE_MS = 180_000

const start = performance.now()
const tell = (line: string): void => {
  const at = ((performance.now() - start) / 1000).toFixed(1).padStart(7)
  if (values.json) console.error(`${at} s  ${line}`)
  else console.log(`${at} s  ${line}`)
}

tell('starting a farm: nats-server, S3 on a small disk, 2 coordinators, gateway, 2 workers, a proxy between every two')
await using chaos = await ChaosFarm.start(mkdtempSync(path.join(os.tmpdir(), 'darkroom-chaos-')))
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(name, () => void chaos[Symbol.asyncDispose]().finally(() => process.exit(130)))

const random = new Random(seed)
const load = new Load(chaos, random)
await load.submitControls()
const calm = await awaitEnds(chaos, PATIENCE_MS)
tell(`${calm.ids.length} batch without faults: the pictures to compare with`)

const struck = new Map<FaultKind, number>()
const busy = new Set<string>()
let bag: FaultKind[] = []
const stop = new AbortController()
const feeding = Array.from({ length: FEEDERS }, () => load.run(stop.signal))
const end = performance.now() + minutes * 60_000
await Promise.all(Array.from({ length: AT_ONCE }, strike))
stop.abort()
await Promise.all(feeding)
tell(`all is well again: ${load.accepted.size} batches were accepted, ${load.undecided} requests had no answer`)

const ends = await awaitEnds(chaos, PATIENCE_MS)
const { findings, ...report } = await audit(chaos, load.accepted, ends)
for (const finding of findings) tell(finding)
for (const name of chaos.deaths) tell(`${name} ended by itself and was started again`)
if (!values.json) {
  tell(`${report.batches} batches of ${report.items} items, ${load.cancelled.size} cancelled; survived:`)
  for (const [kind, count] of struck) console.log(`           ${String(count).padStart(3)} × ${kind}`)
}
process.exitCode = findings.length > 0 ? 1 : 0
console.log(
  JSON.stringify({ minutes, seed, faults: Object.fromEntries(struck), deaths: chaos.deaths.length, ...report }),
)

/** One fault after the other until the time is over, each kind once before any comes again. */
async function strike(): Promise<void> {
  while (performance.now() < end) {
    if (bag.length === 0) bag = shuffled(Object.keys(FAULTS) as FaultKind[])
    const kind = bag.find((one) => !busy.has(targetOf(one)))
    if (kind === undefined) {
      await delay(LULL_MS)
      continue
    }
    bag.splice(bag.indexOf(kind), 1)
    const target = targetOf(kind)
    busy.add(target)
    try {
      const begun = performance.now()
      const whom = await FAULTS[kind](chaos, random)
      struck.set(kind, (struck.get(kind) ?? 0) + 1)
      tell(`${kind} of ${whom}, ${((performance.now() - begun) / 1000).toFixed(1)} s`)
    } finally {
      busy.delete(target)
    }
    await delay(LULL_MS)
  }
}

function shuffled(kinds: FaultKind[]): FaultKind[] {
  for (let last = kinds.length - 1; last > 0; last--) {
    const other = random.below(last + 1)
    ;[kinds[last], kinds[other]] = [kinds[other]!, kinds[last]!]
  }
  return kinds
}
