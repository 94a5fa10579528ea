import { FAULT_KINDS, simulate } from '@darkroom/sim'
import type { FaultKind, SimulationResult } from '@darkroom/sim'
import { describe, expect, test } from 'vitest'
import known from './regression-seeds.json' with { type: 'json' }

const FARM = { workers: 6, items: 40 }

test('every invariant holds for a few seeds with all faults', async () => {
  const seen = new Set<FaultKind>()
  for (let seed = 1; seed <= 40; seed++) {
    const { violation, faults } = await simulate({ ...FARM, seed, faults: FAULT_KINDS })
    expect({ seed, violation }).toEqual({ seed, violation: null })
    for (const kind of faults.keys()) seen.add(kind)
  }
  expect([...seen].toSorted()).toEqual(FAULT_KINDS.toSorted())
})

test('a seed gives the same run to the last line', async () => {
  const run = async (): Promise<{ lines: string[]; result: SimulationResult }> => {
    const lines: string[] = []
    const result = await simulate({ ...FARM, seed: 7, faults: FAULT_KINDS, trace: (line) => lines.push(line) })
    return { lines, result }
  }
  const first = await run()
  expect(first.lines.length).toBeGreaterThan(50)
  expect(await run()).toEqual(first)
})

describe('seeds that once failed', () => {
  test.for(known)('$seed: $why', async ({ seed, faults }) => {
    const { violation } = await simulate({ ...FARM, seed, faults: faults as FaultKind[] })
    expect(violation).toBeNull()
  })
})
