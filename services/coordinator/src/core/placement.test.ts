import { create } from '@bufbuild/protobuf'
import { DeviceSchema, WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { ofType, openedOf, resultOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import type { SegmentSummary } from './messages.ts'
import { meets, NO_NEEDS } from './needs.ts'
import type { Needs } from './needs.ts'
import { createState } from './state.ts'
import type { FarmState } from './state.ts'
import { swapSeconds } from './swaps.ts'

const BIG = { deviceKind: 'cuda', memoryBytes: 40e9, tags: ['nvlink'] }

function see(farm: FarmState, id: string, resident: readonly string[], changes: Partial<Worker> = {}, nowMs = 0) {
  return ofType(
    decide(farm, { type: 'workerSeen', worker: { ...workerOf(id, [], resident), ...changes } }, nowMs),
    'dispatch',
  )
}

/** Shards of several checkpoints in one segment. */
function mixedOf(counts: Readonly<Record<string, number>>): SegmentSummary {
  const shards = Object.entries(counts).flatMap(([checkpoint, count]) =>
    segmentOf(0, count, checkpoint).shards.map((shard) => ({ ...shard, id: `${checkpoint}-${shard.id}` })),
  )
  return { shards, ended: [] }
}

function farmWith(counts: Readonly<Record<string, number>>, needs: Needs = NO_NEEDS): FarmState {
  const farm = createState(SETTINGS, 0)
  decide(farm, openedOf('b1', 1, 1, [mixedOf(counts)], { needs }), 0)
  return farm
}

describe('a worker', () => {
  test('is given what it has loaded, rather than what most is to be done for', () => {
    const farm = farmWith({ common: 100, rare: 4 })
    const given = see(farm, 'w1', ['rare'])
    expect(given).toMatchObject([
      { shardId: 'rare-0-0', isSwap: false },
      { shardId: 'rare-0-1', isSwap: false },
    ])
  })

  test('without anything loaded is given what most is to be done for, for each of those that do it already', () => {
    const farm = farmWith({ common: 60, rare: 30 })
    const swaps = ['w1', 'w2', 'w3'].flatMap((id) => see(farm, id, [])).filter(({ isSwap }) => isSwap)
    expect(swaps.map(({ shardId }) => shardId.split('-')[0])).toEqual(['common', 'rare', 'common'])
  })

  test('that has the checkpoint is asked before one that would have to load it', () => {
    const farm = createState(SETTINGS, 0)
    for (const id of ['w1', 'w2', 'w3']) see(farm, id, id === 'w2' ? ['rare'] : [])
    const opened = decide(farm, openedOf('b1', 1, 1, [mixedOf({ rare: 1 })]), 0)
    expect(ofType(opened, 'dispatch')).toMatchObject([{ workerId: 'w2', isSwap: false }])
  })

  test('that renders loads nothing ahead that is not worth a load; an idle one does', () => {
    const farm = farmWith({ few: 1, fewer: 1 })
    expect(see(farm, 'w1', [])).toHaveLength(1)
    expect(see(farm, 'w2', [])).toMatchObject([{ isSwap: true }])
  })

  test('that renders keeps a place free for more urgent work that is worth a load once it idles', () => {
    const farm = farmWith({ common: 100 })
    const given = see(farm, 'w1', ['common'])
    decide(farm, openedOf('urgent', 1, 1, [mixedOf({ rare: 1 })], { priority: 1 }), 0)
    const [first, second] = given.map(({ shardId }) =>
      ofType(
        decide(farm, { type: 'shardEnded', batchId: 'b1', shardId, result: resultOf('rendered', 3) }, 0),
        'dispatch',
      ),
    )
    expect(first).toEqual([])
    expect(second).toMatchObject([{ batchId: 'urgent', isSwap: true }, { batchId: 'b1' }])
  })

  test('keeps its checkpoint for another tenant as long as that is ahead by less than a load', () => {
    const farm = createState(SETTINGS, 0)
    for (const tenant of ['t1', 't2']) decide(farm, openedOf(tenant, 1, 1, [mixedOf({ [tenant]: 500 })], { tenant }), 0)
    const given = [...see(farm, 'w1', ['t1']), ...see(farm, 'w2', ['t2'])]
    let swaps = 0
    const ends = given.map(({ batchId, shardId, workerId }) => ({ batchId, shardId, workerId }))
    for (let n = 0; n < 200; n++) {
      const { batchId, shardId } = ends.shift()!
      const result = resultOf('rendered', 3)
      const next = ofType(decide(farm, { type: 'shardEnded', batchId, shardId, result }, n * 1000), 'dispatch')
      swaps += next.filter(({ isSwap }) => isSwap).length
      ends.push(...next)
    }
    expect(swaps).toBe(0)
  })

  test('is given only what it can render', () => {
    const farm = farmWith({ big: 4 }, BIG)
    const device = create(DeviceSchema, { kind: 'cuda', memoryBytes: BigInt(80e9) })
    expect(see(farm, 'cpu', [], { tags: ['nvlink'] })).toEqual([])
    expect(see(farm, 'untagged', [], { device })).toEqual([])
    expect(see(farm, 'fits', [], { device, tags: ['spot', 'nvlink'] })).toHaveLength(SETTINGS.window)
  })

  test('that drains leaves what it has not begun to others', () => {
    const farm = farmWith({ some: 2 })
    expect(see(farm, 'w1', [])).toHaveLength(2)
    expect(see(farm, 'w2', [])).toEqual([])
    const held = [{ batchId: 'b1', shardId: 'some-0-0', attempt: 1 }]
    for (const shardId of ['some-0-0', 'some-0-1'])
      decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId, attempt: 1, sequence: 1 }, 0)
    decide(farm, { type: 'workerSeen', worker: workerOf('w1', held) }, 0)
    const draining = { ...workerOf('w1', held), state: WorkerState.DRAINING }
    const after = decide(farm, { type: 'workerSeen', worker: draining }, 0)
    expect(after).toContainEqual({ type: 'redispatched', reason: 'worker_left' })
    expect(ofType(after, 'dispatch')).toMatchObject([{ shardId: 'some-0-1', attempt: 2, workerId: 'w2' }])
  })

  test('with nothing to do takes what waits in the queue of a busy one', () => {
    const farm = farmWith({ some: 2 })
    see(farm, 'w1', [])
    for (const shardId of ['some-0-0', 'some-0-1'])
      decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId, attempt: 1, sequence: 1 }, 0)
    const held = [{ batchId: 'b1', shardId: 'some-0-0', attempt: 1 }]
    decide(farm, { type: 'workerSeen', worker: workerOf('w1', held) }, 0)
    see(farm, 'w2', ['some'], {}, 100)
    expect(ofType(decide(farm, { type: 'tick' }, 2_000), 'dispatch')).toEqual([])
    decide(farm, { type: 'workerSeen', worker: workerOf('w1', held) }, 2_001)
    const moved = decide(farm, { type: 'tick' }, 2_001)
    expect(ofType(moved, 'dispatch')).toMatchObject([{ shardId: 'some-0-1', attempt: 2, workerId: 'w2' }])
  })
})

test('a shard that waits behind one of a batch that has ended goes to a worker with nothing to do', () => {
  const farm = farmWith({ some: 1 })
  const held = [{ batchId: 'ended', shardId: '0-0', attempt: 1 }]
  decide(farm, { type: 'workerSeen', worker: workerOf('w1', held) }, 0)
  decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId: 'some-0-0', attempt: 1, sequence: 1 }, 0)
  see(farm, 'w2', ['some'], {}, 100)
  decide(farm, { type: 'workerSeen', worker: workerOf('w1', held) }, 2_001)
  const moved = decide(farm, { type: 'tick' }, 2_001)
  expect(ofType(moved, 'dispatch')).toMatchObject([{ shardId: 'some-0-0', attempt: 2, workerId: 'w2' }])
})

describe('a shard that a worker has failed', () => {
  const failed = { type: 'attemptFailed', batchId: 'b1', shardId: 'some-0-0', attempt: 1, message: 'no' } as const

  test('is for another worker that has room, even if that has to load the checkpoint', () => {
    const farm = farmWith({ some: 1 })
    see(farm, 'w1', ['some'])
    see(farm, 'w2', [])
    expect(ofType(decide(farm, failed, 0), 'dispatch')).toMatchObject([{ shardId: 'some-0-0', workerId: 'w2' }])
  })

  test('waits behind others of its batch while only that worker has room', () => {
    const farm = farmWith({ some: 3 })
    see(farm, 'w1', ['some'])
    expect(ofType(decide(farm, failed, 0), 'dispatch')).toMatchObject([{ shardId: 'some-0-2', workerId: 'w1' }])
  })
})

describe('a checkpoint', () => {
  test('that is passed over for too long is loaded, however much there is of another', () => {
    const farm = farmWith({ common: 1_000, rare: 1 })
    const first = see(farm, 'w1', ['common'])
    const ends = [...first]
    const dispatched: string[] = []
    for (let nowMs = 0; nowMs <= SETTINGS.starvationMs + 1_000; nowMs += 1_000) {
      const { batchId, shardId } = ends.shift()!
      const result = resultOf('rendered', 3)
      const next = ofType(decide(farm, { type: 'shardEnded', batchId, shardId, result }, nowMs), 'dispatch')
      dispatched.push(...next.map(({ shardId }) => shardId))
      ends.push(...next)
    }
    expect(dispatched.slice(0, -1)).not.toContain('rare-0-0')
    expect(dispatched.at(-1)).toBe('rare-0-0')
  })

  test('takes as long to load as workers have told, after a guess that counts once', () => {
    const farm = createState(SETTINGS, 0)
    expect(swapSeconds(farm.swaps)).toBe(20)
    see(farm, 'w1', [], { checkpointLoads: 1, checkpointLoadSeconds: 4 })
    see(farm, 'w1', [], { checkpointLoads: 3, checkpointLoadSeconds: 10 })
    expect(swapSeconds(farm.swaps)).toBe(7.5)
    see(farm, 'w1', [], { checkpointLoads: 1, checkpointLoadSeconds: 5 })
    expect(swapSeconds(farm.swaps)).toBe(7)
  })
})

test('needs are met by a device that does not tell its memory, and by no other kind of device', () => {
  const offer = { deviceKind: 'cuda', memoryBytes: 0, tags: ['nvlink'] }
  expect(meets(offer, BIG)).toBe(true)
  expect(meets({ ...offer, memoryBytes: 16e9 }, BIG)).toBe(false)
  expect(meets({ ...offer, deviceKind: 'webgpu' }, BIG)).toBe(false)
  expect(meets(offer, NO_NEEDS)).toBe(true)
})
