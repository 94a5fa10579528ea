import { describe, expect, test } from 'vitest'
import { ofType, openedOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import type { FarmCommand } from './messages.ts'
import { createState } from './state.ts'
import type { OpenShard } from './state.ts'

/** One shard, dispatched to w1 by this leader, and what two workers say of it. */
class TwoHolders {
  readonly farm = createState({ ...SETTINGS, window: 1 }, 0)

  constructor() {
    for (const id of ['w1', 'w2']) this.says(id, null)
    decide(this.farm, openedOf('b1', 1, 1, [segmentOf(0, 1)]), 0)
    expect(this.shard).toMatchObject({ state: 'dispatching', assignedTo: 'w1', attempt: 1 })
    this.dispatched(1)
  }

  get shard(): OpenShard {
    return this.farm.batches.get('b1')!.open.get('0-0')!
  }

  dispatched(attempt: number): FarmCommand[] {
    const event = { type: 'shardDispatched', batchId: 'b1', shardId: '0-0', attempt, sequence: 7 } as const
    return decide(this.farm, event, 0)
  }

  says(id: string, attempt: number | null, stepsDone = 0, stepsResumed = 0): FarmCommand[] {
    const worker = workerOf(id)
    if (attempt !== null)
      worker.running.push({
        ...workerOf(id, [{ batchId: 'b1', shardId: '0-0', attempt }]).running[0]!,
        stepsDone,
        stepsResumed,
      })
    return decide(this.farm, { type: 'workerSeen', worker }, 0)
  }
}

const cancelled = (commands: readonly FarmCommand[]): string[] =>
  ofType(commands, 'cancelOnWorker').map(({ workerId, attempt }) => `${workerId}, attempt ${attempt}`)

describe('a shard that two workers hold, since a former leader gave it to one of them', () => {
  test('stays with the one that has done more of it here', () => {
    const held = new TwoHolders()
    held.says('w1', 1, 30)
    expect(cancelled(held.says('w2', 2, 100, 80))).toEqual(['w2, attempt 2'])
    expect(held.shard).toMatchObject({ workerId: 'w1', attempt: 1 })
  })

  test('goes to the one that comes late and has done more', () => {
    const held = new TwoHolders()
    held.says('w1', 1, 5)
    expect(cancelled(held.says('w2', 2, 400))).toEqual(['w1, attempt 1'])
    expect(held.shard).toMatchObject({ workerId: 'w2', assignedTo: 'w2', attempt: 2, attempts: 2 })
    expect(held.farm.outstanding).toBe(1)
  })

  test('goes to the one that reports it while the message for the other waits', () => {
    const held = new TwoHolders()
    const commands = held.says('w2', 1)
    expect(ofType(commands, 'withdraw')).toEqual([{ type: 'withdraw', sequence: 7 }])
    expect(held.shard).toMatchObject({ workerId: 'w2', attempt: 1, sequence: null })
    // It had taken the message all the same.
    expect(cancelled(held.says('w1', 1, 900))).toEqual(['w1, attempt 1'])
  })

  test('has its message taken back once it is known where that is', () => {
    const held = new TwoHolders()
    held.shard.state = 'dispatching'
    held.says('w2', 3, 20)
    expect(held.dispatched(1)).toContainEqual({ type: 'withdraw', sequence: 7 })
    expect(held.shard).toMatchObject({ state: 'dispatched', workerId: 'w2', attempt: 3 })
  })

  test('is called off at each report of the one that it is taken from, since an order can be lost', () => {
    const held = new TwoHolders()
    held.says('w1', 1, 30)
    for (const stepsDone of [1, 200, 400]) expect(cancelled(held.says('w2', 2, stepsDone))).toEqual(['w2, attempt 2'])
    expect(cancelled(held.says('w1', 1, 31))).toEqual([])
  })

  test('gets a number that no attempt had, when it is dispatched again', () => {
    const held = new TwoHolders()
    held.says('w1', 1, 30)
    held.says('w2', 4)
    held.says('w2', null)
    const failed = { type: 'attemptFailed', batchId: 'b1', shardId: '0-0', attempt: 1, message: 'no' } as const
    expect(ofType(decide(held.farm, failed, 0), 'dispatch')).toMatchObject([{ attempt: 5 }])
  })

  test('counts the time that it takes from when it was found, not from before the clock began', () => {
    const nowMs = Date.parse('2026-11-27T00:00:00Z')
    const farm = createState({ ...SETTINGS, window: 1 }, nowMs + 1_000)
    decide(farm, openedOf('b1', 1, 1, [segmentOf(0, 1)]), nowMs)
    const worker = workerOf('w1', [{ batchId: 'b1', shardId: '0-0', attempt: 2 }])
    decide(farm, { type: 'workerSeen', worker }, nowMs)
    expect(farm.batches.get('b1')!.open.get('0-0')).toMatchObject({ workerId: 'w1', unownedSinceMs: nowMs })
    expect(farm.batches.get('b1')!.startedAtMs).toBe(nowMs)
  })

  test('is not blamed for a failure of another worker under the same number', () => {
    const held = new TwoHolders()
    held.says('w2', 1, 10)
    const failed = { type: 'attemptFailed', batchId: 'b1', shardId: '0-0', attempt: 1, message: 'no' } as const
    decide(held.farm, { ...failed, workerId: 'w1' }, 0)
    expect(held.shard).toMatchObject({ workerId: 'w2', failures: 0 })
    decide(held.farm, { ...failed, workerId: 'w2' }, 0)
    expect(held.shard).toMatchObject({ failures: 1, failedOn: ['w2'] })
  })

  test('is not given back to the one that has refused it', () => {
    const held = new TwoHolders()
    held.says('w1', 1, 30)
    const failed = { type: 'attemptFailed', batchId: 'b1', shardId: '0-0', attempt: 1, message: 'no' } as const
    decide(held.farm, failed, 0)
    held.dispatched(2)
    // It has not let go of it yet.
    held.says('w1', 1, 30)
    expect(held.shard).toMatchObject({ assignedTo: 'w2', attempt: 2 })
  })
})
