import { expect, test } from 'vitest'
import { FIRST_SECONDS_PER_UNIT } from '../planner/cost-model.ts'
import { openedOf, resultOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import { quote } from './quote.ts'
import { createState } from './state.ts'

/** A second's work, as long as nothing was measured. */
const SECOND = 1 / FIRST_SECONDS_PER_UNIT
const PART = { checkpoint: 'emoji-ddpm', work: { DDIMScheduler: 600 * SECOND } }

test('without workers a quote is a guess of the work alone', () => {
  const { deviceSeconds, ...rest } = quote(createState(SETTINGS, 0), [PART])
  expect(deviceSeconds).toBeCloseTo(600)
  expect(rest).toEqual({ workers: 0, secondsAlone: null, secondsBehindAll: null, isMeasured: false })
})

test('workers share it, a checkpoint that nobody has is loaded first, and what waits goes before it', () => {
  const farm = createState(SETTINGS, 0)
  for (const id of ['w1', 'w2']) decide(farm, { type: 'workerSeen', worker: workerOf(id, [], ['emoji-ddpm']) }, 0)
  expect(quote(farm, [PART])).toMatchObject({
    workers: 2,
    secondsAlone: expect.closeTo(300),
    secondsBehindAll: expect.closeTo(300),
  })
  expect(quote(farm, [{ ...PART, checkpoint: 'emoji-sd' }]).secondsAlone).toBeCloseTo(320)
  // Four segments of five shards of a second's work each, of which one is planned.
  decide(farm, openedOf('b1', 4, 5, [segmentOf(0, 5)]), 0)
  expect(quote(farm, [PART]).secondsBehindAll).toBeCloseTo(310)
})

test('it follows what was measured', () => {
  const farm = createState(SETTINGS, 0)
  decide(farm, { type: 'workerSeen', worker: workerOf('w1', [], ['emoji-ddpm']) }, 0)
  decide(farm, openedOf('b1', 1, 30, [segmentOf(0, 30)]), 0)
  for (let n = 0; n < 30; n++)
    decide(farm, { type: 'shardEnded', batchId: 'b1', shardId: `0-${n}`, result: resultOf('rendered', 3, 4) }, 0)
  const { deviceSeconds, isMeasured } = quote(farm, [PART])
  expect(deviceSeconds).toBeCloseTo(2400, 0)
  expect(isMeasured).toBe(true)
})
