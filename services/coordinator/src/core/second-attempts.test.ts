import { create } from '@bufbuild/protobuf'
import { DeviceSchema } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { ofType, openedOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import type { FarmCommand } from './messages.ts'
import { GPU, PlayedFarm } from './played-farm.harness.ts'

describe('the last shards of a batch', () => {
  /** Two workers, of which one is left with the last shard and does not get on with it. */
  function lastOne(shards = 101): PlayedFarm {
    const farm = new PlayedFarm()
    farm.worker('slow')
    farm.worker('quick')
    farm.open(segmentOf(0, shards))
    for (let n = 1; n < shards; n++) farm.end('quick')
    expect([farm.held('slow'), farm.held('quick')]).toEqual([['0-0'], []])
    farm.pass(4_000, ['quick'])
    return farm
  }

  test('are given to an idle worker too, within two percent of the work', () => {
    const farm = lastOne()
    expect(farm.of('hedged')).toEqual([{ type: 'hedged', batchId: 'b1', shardId: '0-0', workerId: 'quick' }])
    expect(farm.state.spent.hedgedSeconds).toBeLessThanOrEqual(0.02 * farm.state.spent.committedSeconds)
    expect(farm.state.batches.get('b1')!.owner.running).toBe(2)
  })

  test('end with whoever is first, and the other is told to give up', () => {
    const farm = lastOne()
    const commands = farm.end('quick', '0-0')
    expect(ofType(commands, 'finalize')).toHaveLength(1)
    farm.heartbeat('slow')
    expect(farm.held('slow')).toEqual([])
    expect(farm.state.batches.get('b1')!.owner.running).toBe(0)
  })

  test('are not moved once all of one is cancelled, though the worker that it waits with still reports it', () => {
    const farm = new PlayedFarm({ window: 2 })
    farm.worker('slow')
    farm.open(segmentOf(0, 2))
    const running = farm
      .of('dispatch')
      .map(({ batchId, shardId, attempt }) => ({ batchId, shardId, attempt, stepsDone: 0, stepsTotal: 10 }))
    farm.worker('idle')
    farm.send({ type: 'itemsCancelled', batchId: 'b1', items: [[3, 5]] })
    farm.nowMs += 4_000
    farm.send({ type: 'workerSeen', worker: { ...workerOf('slow', running), device: GPU, activity: 1n } })
    const moved = ofType(farm.send({ type: 'tick' }), 'dispatch')
    expect(running.map(({ shardId }) => shardId)).toEqual(['0-0', '0-1'])
    expect(moved.filter(({ shardId }) => shardId === '0-1')).toEqual([])
    expect(farm.state.batches.get('b1')!.open.get('0-1')!.state).toBe('ending')
  })

  test('are not given again to a worker that has failed them', () => {
    const farm = lastOne()
    farm.fail('quick')
    farm.pass(30_000, ['quick', 'slow'])
    expect(farm.of('hedged')).toHaveLength(1)
    expect(farm.state.spent.hedgedSeconds).toBeLessThan(10)
  })

  test('go on with the second attempt when the first worker is lost', () => {
    const farm = lastOne()
    const commands = farm.pass(SETTINGS.workerLeaseMs + 1_000, ['quick'], ['slow'])
    expect(ofType(commands, 'dispatch')).toEqual([])
    expect(farm.state.batches.get('b1')!.open.get('0-0')).toMatchObject({ workerId: 'quick', attempt: 2, hedge: null })
    expect(ofType(farm.end('quick', '0-0'), 'finalize')).toHaveLength(1)
  })

  test('end after as many failures as others, though each failure has a second attempt to go on with', () => {
    const farm = lastOne(601)
    farm.fail('slow')
    farm.worker('third')
    farm.pass(8_000, ['third'], ['slow'])
    expect(farm.of('hedged').map(({ workerId }) => workerId)).toEqual(['quick', 'third'])
    expect(ofType(farm.fail('quick'), 'endShard')).toMatchObject([{ shardId: '0-0', kind: 'split' }])
  })

  test('go on with the first attempt when the second worker is lost or fails', () => {
    for (const how of ['lost', 'failed']) {
      const farm = lastOne()
      if (how === 'failed') farm.fail('quick')
      else farm.pass(SETTINGS.workerLeaseMs + 1_000, ['slow'], ['quick'])
      expect(farm.state.batches.get('b1')!.open.get('0-0')).toMatchObject({ workerId: 'slow', attempt: 1 })
      expect(farm.held('slow')).toEqual(['0-0'])
    }
  })
})

describe('a share of the rendered shards', () => {
  /** Audits that were asked for, of so many shards. */
  function audited(auditShare: number, second: Partial<Worker> = {}): PlayedFarm {
    const farm = new PlayedFarm({ auditShare })
    farm.worker('w1')
    farm.worker('w2', second)
    farm.open(segmentOf(0, 100))
    for (let n = 0; n < 50; n++) {
      for (const id of ['w1', 'w2']) farm.end(id)
      for (const { batchId, shardId } of farm.of('audit')) farm.send({ type: 'auditEnded', batchId, shardId })
    }
    return farm
  }

  test('is rendered again by another worker of the same device', () => {
    const audits = audited(0.3).of('audit')
    expect(audits.length).toBeGreaterThan(15)
    expect(audits.length).toBeLessThan(45)
    expect(new Set(audits.map(({ workerId }) => workerId))).toEqual(new Set(['w1', 'w2']))
    expect(audited(0).of('audit')).toEqual([])
  })

  test('is left alone where no other worker has the same device', () => {
    expect(audited(1, { device: create(DeviceSchema, { kind: 'cpu' }) }).of('audit')).toEqual([])
  })

  test('is not taken away from the worker that has it, and is given up with that one', () => {
    const farm = new PlayedFarm({ auditShare: 1 })
    for (const id of ['w1', 'w2']) farm.worker(id)
    farm.open(segmentOf(0, 1))
    const [{ batchId, shardId, attempt, workerId }] = ofType(farm.end('w1'), 'audit') as [
      FarmCommand & { type: 'audit' },
    ]
    expect([shardId, attempt, workerId]).toEqual(['0-0', 2, 'w2'])
    farm.send({ type: 'auditDispatched', batchId, shardId, sequence: 77 })
    const running = [{ batchId, shardId, attempt }]
    const seen = farm.send({ type: 'workerSeen', worker: { ...workerOf('w2', running), device: GPU, activity: 1n } })
    expect(ofType(seen, 'cancelOnWorker')).toEqual([])
    expect(ofType(farm.pass(SETTINGS.workerLeaseMs + 2_000, ['w1'], ['w2']), 'withdraw')).toEqual([
      { type: 'withdraw', sequence: 77 },
    ])
    expect(farm.state.audits.size).toBe(0)
  })

  /** Two workers with one place each, the second of which is given an audit. */
  function auditing(): PlayedFarm {
    const farm = new PlayedFarm({ auditShare: 1 })
    for (const id of ['w1', 'w2']) farm.worker(id)
    farm.open(segmentOf(0, 1))
    const [{ batchId, shardId }] = ofType(farm.end('w1'), 'audit') as [FarmCommand & { type: 'audit' }]
    farm.send({ type: 'auditDispatched', batchId, shardId, sequence: 77 })
    farm.send(openedOf('b2', 1, 1, [segmentOf(0, 2)]))
    return farm
  }

  test('takes a place of the worker that renders it, until that has ended', () => {
    const farm = auditing()
    expect(farm.of('dispatch').map(({ workerId }) => workerId)).toEqual(['w1', 'w1'])
    farm.send({ type: 'auditEnded', batchId: 'b1', shardId: '0-0' })
    expect(farm.of('dispatch').map(({ workerId }) => workerId)).toEqual(['w1', 'w1', 'w2'])
  })

  test('is given up where its message was lost: a worker that idles gets its place back', () => {
    const farm = auditing()
    expect(ofType(farm.pass(SETTINGS.unownedMs + 2_000, ['w1']), 'withdraw')).toContainEqual({
      type: 'withdraw',
      sequence: 77,
    })
    expect(farm.state.audits.size).toBe(0)
    expect(farm.held('w2')).toHaveLength(1)
  })
})
