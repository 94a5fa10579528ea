import { PRIOR_SECONDS_BETWEEN_LOSSES as PRIOR, WorkerState } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { ofType, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import { meanSecondsBetweenLosses } from './loss-rate.ts'
import { createState } from './state.ts'
import type { FarmState } from './state.ts'

const held = [{ batchId: 'b1', shardId: '0-0', attempt: 1 }]

/** A worker that reports every second for an hour, then never again. @returns what was done about it */
function workAnHour(farm: FarmState, running: typeof held, last: WorkerState = WorkerState.RENDERING) {
  const see = (second: number, state: WorkerState) =>
    decide(farm, { type: 'workerSeen', worker: { ...workerOf('w1', running), state } }, 1000 * second)
  for (let second = 0; second < 3_600; second++) see(second, WorkerState.RENDERING)
  see(3_600, last)
  return ofType(decide(farm, { type: 'tick' }, 3_600_001 + SETTINGS.workerLeaseMs), 'workerLost')
}

describe('how long a worker works until it is lost', () => {
  test('is a day as long as none was lost', () => {
    expect(meanSecondsBetweenLosses(createState(SETTINGS, 0).lossRate)).toBe(PRIOR)
    expect(PRIOR).toBe(24 * 3600)
  })

  test('is learned from those that are lost with work in their hands, and the time that they had', () => {
    const farm = createState(SETTINGS, 0)
    expect(workAnHour(farm, held)).toEqual([{ type: 'workerLost', workerId: 'w1' }])
    expect(farm.lossRate).toEqual({ losses: 1, heldMs: 3_600_000 })
    expect(meanSecondsBetweenLosses(farm.lossRate)).toBe((PRIOR + 3_600) / 2)
  })

  test('is not shortened by one that drained', () => {
    const farm = createState(SETTINGS, 0)
    expect(workAnHour(farm, held, WorkerState.DRAINING)).toEqual([])
    expect(meanSecondsBetweenLosses(farm.lossRate)).toBe(PRIOR + 3_600)
  })

  test('has nothing to do with one that had nothing to do', () => {
    const farm = createState(SETTINGS, 0)
    expect(workAnHour(farm, [])).toEqual([])
    expect(farm.lossRate).toEqual({ losses: 0, heldMs: 0 })
  })
})
