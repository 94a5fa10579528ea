import { WorkerState } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import {
  closedOf,
  ITEMS_PER_SHARD,
  ofType,
  openedOf,
  plannedOf,
  resultOf,
  segmentOf,
  SETTINGS,
  workerOf,
} from './decide.harness.ts'
import type { Running } from './decide.harness.ts'
import { decide } from './decide.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { completedOf } from './segments.ts'
import { createState } from './state.ts'
import type { FarmState } from './state.ts'

/** A farm that dispatches from the start, with one worker that nobody has asked for anything. */
function farmWith(...events: FarmEvent[]): { farm: FarmState; commands: FarmCommand[] } {
  const farm = createState(SETTINGS, 0)
  const commands = [{ type: 'workerSeen', worker: workerOf('w1') } as const, ...events].flatMap((event) =>
    decide(farm, event, 0),
  )
  return { farm, commands }
}

/** Confirms a dispatch and has the worker report the shard. */
function take(
  farm: FarmState,
  workerId: string,
  { batchId, shardId, attempt }: Running[number],
  sequence: number,
): void {
  decide(farm, { type: 'shardDispatched', batchId, shardId, attempt, sequence }, 0)
  decide(farm, { type: 'workerSeen', worker: workerOf(workerId, [{ batchId, shardId, attempt }]) }, 0)
}

describe('the dispatcher', () => {
  test('dispatches a lost worker’s shard again as the next attempt', () => {
    const { farm, commands } = farmWith(openedOf('b1', 1, 1), plannedOf('b1', 0, 1))
    expect(ofType(commands, 'dispatch')).toMatchObject([
      { type: 'dispatch', batchId: 'b1', shardId: '0-0', attempt: 1 },
    ])
    take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt: 1 }, 7)
    decide(farm, { type: 'workerSeen', worker: workerOf('w2') }, 1_000)
    expect(decide(farm, { type: 'workerDetached', workerId: 'w1' }, 1_000)).toEqual([])
    expect(decide(farm, { type: 'tick' }, 1_000 + SETTINGS.detachedGraceMs)).toEqual([])
    const after = decide(farm, { type: 'tick' }, 1_001 + SETTINGS.detachedGraceMs)
    expect(after).toContainEqual({ type: 'withdraw', sequence: 7 })
    expect(after).toContainEqual({ type: 'redispatched', reason: 'worker_lost' })
    expect(ofType(after, 'dispatch')).toMatchObject([
      { type: 'dispatch', batchId: 'b1', shardId: '0-0', attempt: 2, failedAttempts: 1 },
    ])
  })

  test('takes a worker that is silent beyond its lease for lost', () => {
    const { farm } = farmWith(openedOf('b1', 1, 1), plannedOf('b1', 0, 1))
    take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt: 1 }, 7)
    decide(farm, { type: 'workerSeen', worker: workerOf('w2') }, SETTINGS.workerLeaseMs)
    expect(decide(farm, { type: 'tick' }, SETTINGS.workerLeaseMs)).toEqual([])
    const after = decide(farm, { type: 'tick' }, SETTINGS.workerLeaseMs + 1)
    expect([...farm.workers.keys()]).toEqual(['w2'])
    expect(ofType(after, 'dispatch')).toMatchObject([{ attempt: 2 }])
  })

  test('ends a shard as failed after five attempts that failed, and never before', () => {
    const { farm } = farmWith(openedOf('b1', 1, 1), plannedOf('b1', 0, 1))
    for (let attempt = 1; attempt <= SETTINGS.maxFailures; attempt++) {
      take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt }, attempt)
      const failed = {
        type: 'attemptFailed',
        batchId: 'b1',
        shardId: '0-0',
        attempt,
        message: `no ${attempt}`,
      } as const
      // After its rest it is dispatched again.
      const after = [...decide(farm, failed, 0), ...decide(farm, { type: 'tick' }, 4_500)]
      // A failure that is told twice counts once.
      const repeated = decide(farm, failed, 4_500)
      expect(ofType(after, 'endShard')).toHaveLength(attempt === SETTINGS.maxFailures ? 1 : 0)
      expect(repeated).toEqual([])
      if (attempt === SETTINGS.maxFailures) {
        expect(ofType(after, 'endShard')).toMatchObject([
          { kind: 'failed', itemCount: ITEMS_PER_SHARD, message: '5 attempts failed; the last: no 5' },
        ])
        expect(ofType(after, 'dispatch')).toEqual([])
      }
    }
    const ended = { type: 'shardEnded', batchId: 'b1', shardId: '0-0', result: resultOf('failed', 3) } as const
    expect(decide(farm, ended, 0)).toContainEqual({ type: 'finalize', batchId: 'b1', isCancelled: false })
  })

  test('writes a record for every open shard of a cancelled batch and dispatches nothing after', () => {
    const { farm } = farmWith(openedOf('b1', 2, 4), plannedOf('b1', 0, 4))
    take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt: 1 }, 7)
    const cancelled = decide(farm, { type: 'cancelRequested', batchId: 'b1' }, 0)
    const ends = ofType(cancelled, 'endShard')
    expect(ends.map(({ shardId, kind }) => [shardId, kind])).toEqual(
      ['0-0', '0-1', '0-2', '0-3'].map((id) => [id, 'cancelled']),
    )
    expect(ofType(cancelled, 'cancelOnWorker')).toMatchObject([{ workerId: 'w1', shardId: '0-0', attempt: 1 }])
    expect(ofType(cancelled, 'withdraw')).toEqual([{ type: 'withdraw', sequence: 7 }])
    expect(ofType(cancelled, 'planSegment')).toMatchObject([{ segment: 1, isClosing: true }])
    const after = [
      ...decide(farm, { type: 'cancelRequested', batchId: 'b1' }, 0),
      ...decide(farm, closedOf('b1', 1), 0),
      ...decide(farm, { type: 'tick' }, 1),
      ...ends.flatMap(({ shardId, itemCount }) =>
        decide(farm, { type: 'shardEnded', batchId: 'b1', shardId, result: resultOf('cancelled', itemCount) }, 1),
      ),
    ]
    expect(ofType(after, 'endShard')).toEqual([])
    expect(ofType(after, 'dispatch')).toEqual([])
    expect(ofType(after, 'planSegment')).toEqual([])
    expect(ofType(after, 'finalize')).toEqual([{ type: 'finalize', batchId: 'b1', isCancelled: true }])
  })

  test('ends what another leader has planned of a batch that is cancelled here, until the plan is closed', () => {
    const farm = createState(SETTINGS, 0)
    decide(farm, openedOf('b1', 3, 1, [segmentOf(0, 1)]), 0)
    const cancelled = decide(farm, { type: 'cancelRequested', batchId: 'b1' }, 0)
    expect(ofType(cancelled, 'planSegment')).toMatchObject([{ segment: 1, isClosing: true }])
    const theirs = decide(farm, plannedOf('b1', 1, 1), 0)
    expect(ofType(theirs, 'endShard')).toMatchObject([{ shardId: '1-0', kind: 'cancelled' }])
    expect(ofType(theirs, 'planSegment')).toMatchObject([{ segment: 2, isClosing: true }])
    const ends = ['0-0', '1-0'].flatMap((shardId) =>
      decide(farm, { type: 'shardEnded', batchId: 'b1', shardId, result: resultOf('cancelled', 3) }, 0),
    )
    expect(ofType(ends, 'finalize')).toEqual([])
    expect(ofType(decide(farm, closedOf('b1', 2), 0), 'finalize')).toHaveLength(1)
  })

  test('cancels a batch whose plan another leader has closed', () => {
    const { farm } = farmWith(openedOf('b1', 2, 1), plannedOf('b1', 0, 1))
    decide(farm, { type: 'shardEnded', batchId: 'b1', shardId: '0-0', result: resultOf('rendered', 3) }, 0)
    const closed = decide(farm, closedOf('b1', 1), 0)
    expect(ofType(closed, 'finalize')).toEqual([{ type: 'finalize', batchId: 'b1', isCancelled: true }])
  })

  test('cancels the shards of a segment whose planning ends after the cancel', () => {
    const { farm } = farmWith(openedOf('b1', 1, 2))
    expect(ofType(decide(farm, { type: 'cancelRequested', batchId: 'b1' }, 0), 'finalize')).toEqual([])
    const planned = decide(farm, plannedOf('b1', 0, 2), 0)
    expect(ofType(planned, 'endShard').map(({ kind }) => kind)).toEqual(['cancelled', 'cancelled'])
    expect(ofType(planned, 'dispatch')).toEqual([])
  })

  test('withdraws the message of a shard that was cancelled while its dispatch was on the way', () => {
    const { farm } = farmWith(openedOf('b1', 1, 1), plannedOf('b1', 0, 1))
    decide(farm, { type: 'cancelRequested', batchId: 'b1' }, 0)
    const late = { type: 'shardDispatched', batchId: 'b1', shardId: '0-0', attempt: 1, sequence: 9 } as const
    expect(decide(farm, late, 0)).toEqual([{ type: 'withdraw', sequence: 9 }])
  })

  test('serves the older of two batches first', () => {
    const farm = createState(SETTINGS, 0)
    for (const id of ['b2', 'b1']) {
      decide(farm, openedOf(id, 1, 4, [segmentOf(0, 4)], { createdAtMs: Number(id.slice(1)) }), 0)
    }
    const first = ['w1', 'w2', 'w3'].flatMap((id) => decide(farm, { type: 'workerSeen', worker: workerOf(id) }, 0))
    const order = ofType(first, 'dispatch').map(({ batchId }) => batchId)
    expect(order).toEqual(['b1', 'b1', 'b1', 'b1', 'b2', 'b2'])
  })

  test('dispatches what a lost stream held again, but not what a worker holds', () => {
    const { farm } = farmWith(openedOf('b1', 1, 2), plannedOf('b1', 0, 2))
    take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt: 1 }, 1)
    decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId: '0-1', attempt: 1, sequence: 2 }, 0)
    expect(ofType(decide(farm, { type: 'queueLost' }, 0), 'dispatch')).toMatchObject([
      { type: 'dispatch', batchId: 'b1', shardId: '0-1', attempt: 2 },
    ])
  })

  test('takes over what workers hold before it dispatches anything itself', () => {
    const farm = createState(SETTINGS, 1_000)
    decide(farm, openedOf('b1', 1, 2, [segmentOf(0, 2)]), 0)
    const held = { batchId: 'b1', shardId: '0-1', attempt: 3 }
    expect(decide(farm, { type: 'workerSeen', worker: workerOf('w1', [held]) }, 0)).toEqual([])
    expect(ofType(decide(farm, { type: 'tick' }, 1_000), 'dispatch')).toMatchObject([
      { type: 'dispatch', batchId: 'b1', shardId: '0-0', attempt: 1 },
    ])
    expect(farm.outstanding).toBe(2)
  })

  test('leaves the other batches when a batch is said to be finished twice', () => {
    const farm = createState(SETTINGS, 0)
    for (const id of ['b1', 'b2']) decide(farm, openedOf(id, 1, 1), 0)
    decide(farm, { type: 'batchFinished', batchId: 'b1' }, 0)
    decide(farm, { type: 'batchFinished', batchId: 'b1' }, 0)
    expect([...farm.batches.keys()]).toEqual(['b2'])
    expect(farm.tenants.get('default')?.active).toBe(1)
  })

  test('goes on with the cancel of a batch that was being cancelled when its coordinator died', () => {
    const farm = createState(SETTINGS, Infinity)
    const ended = [resultOf('rendered', ITEMS_PER_SHARD), resultOf('cancelled', ITEMS_PER_SHARD)]
    const segments = [{ ...segmentOf(0, 1), ended }]
    const commands = decide(farm, { ...openedOf('b1', 2, 3, segments), isCancelled: true }, 0)
    expect(ofType(commands, 'endShard')).toMatchObject([{ shardId: '0-0', kind: 'cancelled' }])
    expect(ofType(commands, 'finalize')).toEqual([])
    const last = { type: 'shardEnded', batchId: 'b1', shardId: '0-0', result: resultOf('cancelled', 3) } as const
    decide(farm, closedOf('b1', 1), 0)
    expect(ofType(decide(farm, last, 0), 'finalize')).toEqual([{ type: 'finalize', batchId: 'b1', isCancelled: true }])
    expect(farm.batches.get('b1')).toMatchObject({ rendered: 3, cancelled: 6, failed: 0, endedShards: 3 })
  })

  test('plans a segment only when a worker would wait for it', () => {
    const farm = createState(SETTINGS, 0)
    expect(ofType(decide(farm, openedOf('b1', 2, 3), 0), 'planSegment')).toEqual([])
    const first = decide(farm, { type: 'workerSeen', worker: workerOf('w1') }, 0)
    expect(ofType(first, 'planSegment')).toMatchObject([{ segment: 0, workers: 1, isClosing: false }])
    expect(ofType(decide(farm, plannedOf('b1', 0, 3), 0), 'dispatch')).toHaveLength(SETTINGS.window)
    const end = (shardId: string): FarmCommand[] =>
      decide(farm, { type: 'shardEnded', batchId: 'b1', shardId, result: resultOf('rendered', 3) }, 0)
    expect(ofType(end('0-0'), 'planSegment')).toEqual([])
    expect(ofType(end('0-1'), 'planSegment')).toMatchObject([{ segment: 1 }])
  })

  test('dispatches nothing for a worker that drains, starts or has lost its stream', () => {
    for (const state of [WorkerState.DRAINING, WorkerState.STARTING]) {
      const farm = createState(SETTINGS, 0)
      decide(farm, openedOf('b1', 1, 1, [segmentOf(0, 1)]), 0)
      const worker = { ...workerOf('w1'), state }
      expect(ofType(decide(farm, { type: 'workerSeen', worker }, 0), 'dispatch')).toEqual([])
    }
    const farm = createState(SETTINGS, 0)
    const held = { batchId: 'b0', shardId: '0-0', attempt: 1 }
    decide(farm, { type: 'workerSeen', worker: workerOf('w1', [held]) }, 0)
    decide(farm, { type: 'workerDetached', workerId: 'w1' }, 0)
    expect(ofType(decide(farm, openedOf('b1', 1, 1, [segmentOf(0, 1)]), 0), 'dispatch')).toEqual([])
    expect(ofType(decide(farm, { type: 'workerSeen', worker: workerOf('w1') }, 1), 'dispatch')).toHaveLength(1)
  })

  test('leaves a shard with a worker that comes back within the grace', () => {
    const { farm } = farmWith(openedOf('b1', 1, 1), plannedOf('b1', 0, 1))
    const held = { batchId: 'b1', shardId: '0-0', attempt: 1 }
    take(farm, 'w1', held, 7)
    decide(farm, { type: 'workerDetached', workerId: 'w1' }, 100)
    decide(farm, { type: 'workerSeen', worker: workerOf('w1', [held]) }, 600)
    expect(decide(farm, { type: 'tick' }, 2_000)).toEqual([])
    expect(farm.batches.get('b1')?.open.get('0-0')).toMatchObject({ state: 'dispatched', workerId: 'w1', failures: 0 })
  })

  test('dispatches a shard that nobody reports again, but only when a worker has long had nothing to do', () => {
    const { farm } = farmWith(openedOf('b1', 1, 2), plannedOf('b1', 0, 2))
    const late = SETTINGS.unownedMs + 1
    const see = (running: Running, nowMs: number): void =>
      void decide(farm, { type: 'workerSeen', worker: workerOf('w1', running) }, nowMs)
    take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt: 1 }, 7)
    decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId: '0-1', attempt: 1, sequence: 8 }, 0)
    see([{ batchId: 'b1', shardId: '0-0', attempt: 1 }], late)
    expect(decide(farm, { type: 'tick' }, late)).toEqual([])
    decide(farm, { type: 'shardEnded', batchId: 'b1', shardId: '0-0', result: resultOf('rendered', 3) }, late)
    see([], late)
    expect(decide(farm, { type: 'tick' }, late)).toEqual([])
    see([], 2 * late)
    const after = decide(farm, { type: 'tick' }, 2 * late)
    expect(after).toContainEqual({ type: 'withdraw', sequence: 8 })
    // Nobody failed it.
    expect(ofType(after, 'dispatch')).toMatchObject([
      { type: 'dispatch', batchId: 'b1', shardId: '0-1', attempt: 2, failedAttempts: 0 },
    ])
  })

  test('opens a batch anew from what was completed, with the same counts, and asks for no segment twice', () => {
    const first = createState(SETTINGS, 0)
    decide(first, { type: 'workerSeen', worker: workerOf('w1') }, 0)
    decide(first, openedOf('b1', 4, 2, [segmentOf(0, 2), segmentOf(1, 2)]), 0)
    const end = (farm: FarmState, shardId: string): FarmCommand[] =>
      decide(farm, { type: 'shardEnded', batchId: 'b1', shardId, result: resultOf('rendered', ITEMS_PER_SHARD) }, 6_000)
    const commands = ['1-0', '0-1', '1-1'].flatMap((shardId) => end(first, shardId))
    expect(ofType(commands, 'saveCompleted')).toEqual([{ type: 'saveCompleted', batchId: 'b1' }])
    const completed = completedOf(first.batches.get('b1')!)
    expect(completed).toMatchObject({ plannedSegments: 2, openSegments: [0], shards: 2, counts: { rendered: 6 } })
    const again = createState(SETTINGS, 0)
    const left = { shards: segmentOf(0, 1).shards, ended: [resultOf('rendered', ITEMS_PER_SHARD)] }
    const reopened = decide(again, { ...openedOf('b1', 4, 2), completed, segments: new Map([[0, left]]) }, 0)
    const { rendered, endedShards, nextSegment } = first.batches.get('b1')!
    expect(again.batches.get('b1')).toMatchObject({ rendered, endedShards, nextSegment })
    const seen = decide(again, { type: 'workerSeen', worker: workerOf('w1') }, 0)
    expect(ofType([...reopened, ...seen, ...end(again, '0-0')], 'planSegment')).toMatchObject([{ segment: 2 }])
  })
})
