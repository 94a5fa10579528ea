import { create } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { DeviceSchema } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { ofType, resultOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import type { SegmentSummary } from './messages.ts'
import { PlayedFarm } from './played-farm.harness.ts'

/** One shard, by name, of so many items. */
const shardOf = (id: string, itemCount: number): SegmentSummary => ({
  shards: segmentOf(0, 1).shards.map((shard) => ({ ...shard, id, itemCount })),
  ended: [],
})

test('a worker that is started anew at once, under its name, was lost with what it held', () => {
  const farm = new PlayedFarm()
  farm.worker('w1', { connectedAt: timestampFromMs(1_000) })
  farm.open(shardOf('s', 1))
  expect(farm.held('w1')).toEqual(['s'])
  farm.worker('w1', { connectedAt: timestampFromMs(2_000) })
  expect(farm.of('workerLost')).toEqual([{ type: 'workerLost', workerId: 'w1' }])
  expect(farm.state.batches.get('b1')!.open.get('s')).toMatchObject({ failures: 1 })
  expect(farm.held('w1')).toEqual(['s'])
})

test('of two processes with one name the later is heard', () => {
  const farm = new PlayedFarm()
  farm.worker('w1', { connectedAt: timestampFromMs(2_000) })
  farm.open(shardOf('s', 1))
  farm.send({ type: 'workerSeen', worker: { ...workerOf('w1'), connectedAt: timestampFromMs(1_000) } })
  expect(farm.of('workerLost')).toEqual([])
  expect(farm.state.batches.get('b1')!.open.get('s')).toMatchObject({ workerId: 'w1', failures: 0 })
})

describe('a shard that fails', () => {
  test('is tried again at once the first time, and rests longer each time after that', () => {
    const farm = new PlayedFarm({ maxFailures: 5 })
    farm.worker('w1')
    farm.open(shardOf('s', 1))
    const waits: number[] = []
    for (let failure = 1; failure < 5; failure++) {
      const from = farm.nowMs
      farm.fail('w1')
      while (farm.held('w1').length === 0) farm.pass(500)
      waits.push((farm.nowMs - from) / 1000)
    }
    expect(waits).toEqual([0, 1, 2, 4])
    expect(ofType(farm.fail('w1'), 'endShard')).toMatchObject([{ kind: 'failed', shardId: 's', itemCount: 1 }])
  })

  test('is halved until the item that workers die of is alone, and only that item fails', () => {
    const farm = new PlayedFarm()
    for (const id of ['w1', 'w2', 'w3', 'w4']) farm.worker(id)
    farm.open(shardOf('s', 8))
    // The poisonous item is the last.
    const isPoisonous = (shardId: string): boolean => /^sb*$/.test(shardId)
    const sizes = new Map([['s', 8]])
    const ended: string[] = []
    for (let round = 0; round < 200 && farm.state.batches.get('b1')!.open.size > 0; round++) {
      for (const id of ['w1', 'w2', 'w3', 'w4']) {
        const [shardId] = farm.held(id)
        if (shardId === undefined) continue
        const commands = isPoisonous(shardId) ? farm.fail(id) : farm.end(id)
        if (!isPoisonous(shardId)) ended.push(shardId)
        for (const { kind, shardId: of, batchId } of ofType(commands, 'endShard')) {
          if (kind === 'failed') ended.push(`${of} failed`)
          const size = sizes.get(of)! / 2
          const halves = [`${of}a`, `${of}b`].map((half) => ({ ...shardOf(half, size).shards[0]! }))
          for (const half of halves) sizes.set(half.id, size)
          const result = resultOf(kind, sizes.get(of)!)
          farm.send({ type: 'shardEnded', batchId, shardId: of, result, ...(kind === 'split' && { halves }) })
        }
      }
      farm.pass(1_000, ['w1', 'w2', 'w3', 'w4'])
    }
    expect(ended.toSorted()).toEqual(['sa', 'sba', 'sbba', 'sbbb failed'])
    expect(farm.of('finalize')).toHaveLength(1)
  })

  test('for a reason that all its items share is not halved', () => {
    const farm = new PlayedFarm({ maxFailures: 3 })
    farm.worker('w1')
    farm.open(shardOf('s', 8))
    for (let failure = 0; failure < 3; failure++) {
      farm.fail('w1', false)
      farm.pass(4_000)
    }
    expect(farm.of('endShard')).toMatchObject([{ kind: 'failed', itemCount: 8 }])
  })

  test('of a batch that was cancelled meanwhile has its halves cancelled', () => {
    const farm = new PlayedFarm()
    farm.worker('w1')
    farm.open(shardOf('s', 2))
    farm.fail('w1')
    farm.fail('w1')
    farm.send({ type: 'cancelRequested', batchId: 'b1' })
    const halves = ['sa', 'sb'].map((id) => shardOf(id, 1).shards[0]!)
    const commands = farm.send({
      type: 'shardEnded',
      batchId: 'b1',
      shardId: 's',
      result: resultOf('split', 0),
      halves,
    })
    expect(ofType(commands, 'endShard')).toMatchObject([
      { shardId: 'sa', kind: 'cancelled' },
      { shardId: 'sb', kind: 'cancelled' },
    ])
  })
})

describe('a worker that lives and does not advance', () => {
  test('loses its shard after the lease, and is given nothing until it advances', () => {
    const farm = new PlayedFarm()
    farm.worker('w1')
    farm.open(shardOf('s', 1))
    farm.worker('w2')
    expect(farm.pass(SETTINGS.progressLeaseMs)).toEqual([])
    const commands = farm.pass(1_000)
    expect(ofType(commands, 'workerStalled')).toEqual([{ type: 'workerStalled', workerId: 'w1' }])
    expect(ofType(commands, 'cancelOnWorker')).toMatchObject([{ workerId: 'w1', shardId: 's', attempt: 1 }])
    expect(ofType(commands, 'dispatch')).toMatchObject([{ workerId: 'w2', attempt: 2 }])
    expect(farm.state.suspects.quarantined.get('w1')).toMatchObject({ reason: 'stalled' })
    // It has dropped what it held, which is no sign of life.
    farm.heartbeat('w1')
    expect(farm.state.taking).not.toContain('w1')
    farm.heartbeat('w1', 1)
    expect(farm.state.taking).toContain('w1')
  })

  test('is given work again once it was started anew under its name', () => {
    const farm = new PlayedFarm()
    farm.worker('w1')
    farm.heartbeat('w1', 7)
    farm.open(shardOf('s', 1))
    farm.pass(SETTINGS.progressLeaseMs + 1_000)
    expect(farm.state.suspects.quarantined.has('w1')).toBe(true)
    farm.send({ type: 'workerDetached', workerId: 'w1' })
    farm.worker('w1')
    expect(farm.state.suspects.quarantined.has('w1')).toBe(false)
    expect(farm.state.taking).toContain('w1')
  })

  test('keeps its shard as long as it tells of anything done', () => {
    const farm = new PlayedFarm()
    farm.worker('w1')
    farm.open(shardOf('s', 1))
    expect(ofType(farm.pass(5 * SETTINGS.progressLeaseMs, ['w1']), 'dispatch')).toEqual([])
    expect(farm.held('w1')).toEqual(['s'])
  })
})

describe('a worker that fails what others render', () => {
  test('is put into quarantine after three shards, and given work again after five minutes', () => {
    const farm = new PlayedFarm()
    farm.worker('bad')
    farm.open(segmentOf(0, 12))
    farm.worker('good')
    for (let n = 0; n < 6 && !farm.state.suspects.quarantined.has('bad'); n++) {
      farm.fail('bad', false)
      for (let m = 0; m < 3; m++) farm.end('good')
    }
    expect(farm.of('quarantined')).toEqual([
      { type: 'quarantined', workerId: 'bad', reason: 'fails_what_others_render' },
    ])
    expect(farm.state.taking).toEqual(new Set(['good']))
    farm.pass(5 * 60_000, ['good', 'bad'])
    expect(farm.of('released')).toEqual([{ type: 'released', workerId: 'bad' }])
    expect(farm.state.taking).toContain('bad')
  })

  test('fails no item that others could render, however much quicker it is with its refusals', () => {
    for (const mayBeAnItem of [true, false]) {
      const farm = new PlayedFarm({ window: 2 })
      for (const id of ['bad', 'w1', 'w2']) farm.worker(id)
      farm.open(segmentOf(0, 8))
      for (let second = 0; second < 200 && farm.of('finalize').length === 0; second++) {
        if (farm.held('bad').length > 0) farm.fail('bad', mayBeAnItem)
        // They take twelve seconds for what it refuses in one.
        if (second % 12 === 11) for (const id of ['w1', 'w2']) if (farm.held(id).length > 0) farm.end(id)
        farm.pass(1_000, ['w1', 'w2', 'bad'])
      }
      expect(farm.of('endShard')).toEqual([])
      expect(farm.of('finalize')).toHaveLength(1)
    }
  })

  test('is not one that was lost with its shards', () => {
    const farm = new PlayedFarm({ window: 2 })
    farm.worker('flaky')
    farm.open(segmentOf(0, 20))
    farm.worker('good')
    for (let loss = 0; loss < 3; loss++) {
      farm.pass(SETTINGS.workerLeaseMs + 1_000, ['good'], ['flaky'])
      farm.worker('flaky')
      for (let n = 0; n < 5; n++) farm.end('good')
    }
    expect(farm.of('workerLost')).toHaveLength(3)
    expect(farm.of('quarantined')).toEqual([])
  })

  test('is kept where there is no other', () => {
    const farm = new PlayedFarm({ maxFailures: 2 })
    farm.worker('only')
    farm.open(segmentOf(0, 8))
    for (let n = 0; n < 8; n++) {
      farm.fail('only', false)
      farm.pass(1_000)
      farm.fail('only', false)
      farm.pass(1_000)
    }
    expect(farm.of('quarantined')).toEqual([])
  })
})

describe('workers that make different pictures of the same items', () => {
  test('are accused both, so that the one that differs from three others is found', () => {
    const farm = new PlayedFarm()
    for (const id of ['bad', 'w1', 'w2', 'w3']) farm.worker(id)
    for (const otherId of ['w1', 'w2', 'w3']) farm.send({ type: 'resultsDiffered', workerId: 'bad', otherId })
    expect(farm.of('quarantined')).toEqual([{ type: 'quarantined', workerId: 'bad', reason: 'renders_other_pixels' }])
  })

  test('are not accused where their devices differ', () => {
    const farm = new PlayedFarm()
    farm.worker('cpu', { device: create(DeviceSchema, { kind: 'cpu' }) })
    for (const id of ['w1', 'w2', 'w3']) {
      farm.worker(id)
      farm.send({ type: 'resultsDiffered', workerId: 'cpu', otherId: id })
    }
    expect(farm.state.suspects.blames.size).toBe(0)
  })
})
