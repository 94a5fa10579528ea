import { FAULT_KINDS, simulate } from '@darkroom/sim'
import type { FaultKind, SimulationResult } from '@darkroom/sim'
import { parseArgs } from 'node:util'

/**
 * Runs the real coordinator against a virtual farm, one seed after the other, and looks at every invariant as it goes:
 *
 *   npm run simulate -- --seeds 2000 --workers 6 --items 40 --faults all --json
 *   npm run simulate -- --seed 17            the same run again, told line by line
 *   npm run simulate -- --seeds 100000       the long mode
 *
 * The last line is JSON. The exit code is 1 where an invariant was violated.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    'first-seed': { type: 'string', default: '1' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '6' },
    items: { type: 'string', default: '40' },
    faults: { type: 'string', default: 'all' },
    json: { type: 'boolean', default: false },
  },
})

const [workers, items] = [positive('workers'), positive('items')]
const faults = kindsOf(values.faults)
const isReplay = values.seed !== undefined
const first = isReplay ? positive('seed') : positive('first-seed')
const seeds = isReplay ? 1 : positive('seeds')

const counts = new Map<FaultKind, number>()
const reactions = new Map<string, number>()
const violations: SimulationResult[] = []
let events = 0
for (let seed = first; seed < first + seeds; seed++) {
  const result = await simulate({
    seed,
    workers,
    items,
    faults,
    ...(isReplay && { trace: (line) => console.log(line) }),
  })
  events += result.events
  for (const [kind, count] of result.faults) counts.set(kind, (counts.get(kind) ?? 0) + count)
  for (const [kind, count] of result.reactions) reactions.set(kind, (reactions.get(kind) ?? 0) + count)
  if (result.violation === null) continue
  violations.push(result)
  if (!isReplay) tell(result)
}
const [worst] = violations
const summary = {
  seeds,
  events,
  violations: violations.length,
  firstViolation: worst === undefined ? null : { seed: worst.seed, ...worst.violation, lastLines: undefined },
  faults: Object.fromEntries(counts),
  reactions: Object.fromEntries(reactions),
}
if (!values.json) console.log(`${seeds} seeds, ${events} events, ${violations.length} violations`)
console.log(JSON.stringify(summary))
process.exitCode = violations.length > 0 ? 1 : 0

function tell({ seed, violation }: SimulationResult): void {
  const { invariant, message, atSeconds, lastLines } = violation!
  console.error(`seed ${seed} violates ${invariant} at ${atSeconds} s: ${message}`)
  for (const line of lastLines) console.error(`  ${line}`)
  const same = `--seed ${seed} --workers ${workers} --items ${items} --faults ${values.faults}`
  console.error(`  again: npm run simulate -- ${same}`)
}

/** @throws RangeError */
function positive(name: 'seeds' | 'first-seed' | 'seed' | 'workers' | 'items'): number {
  const number = Number(values[name])
  if (!Number.isInteger(number) || number < 1)
    throw new RangeError(`--${name} is ${values[name]}; want a positive integer.`)
  return number
}

/** @throws RangeError for a kind that there is not */
function kindsOf(text: string): readonly FaultKind[] {
  if (text === 'all') return FAULT_KINDS
  if (text === 'none') return []
  return text.split(',').map((name) => {
    const kind = FAULT_KINDS.find((known) => known === name)
    if (kind === undefined)
      throw new RangeError(`--faults has ${name}; want all, none, or of ${FAULT_KINDS.join(', ')}.`)
    return kind
  })
}
