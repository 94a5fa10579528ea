import { create } from '@bufbuild/protobuf'
import { DeviceSchema, WorkerState } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { openedOf, plannedOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import type { Running } from './decide.harness.ts'
import { decide } from './decide.ts'
import { SEGMENT_ITEMS } from '@darkroom/proto'
import { explainPlanned, explainUnplanned } from './explain.ts'
import type { Explanation } from './explain.ts'
import type { FarmEvent } from './messages.ts'
import { createState } from './state.ts'
import type { BatchSummary, FarmState } from './state.ts'

const GPU = create(DeviceSchema, { kind: 'cuda', memoryBytes: BigInt(24 * 2 ** 30) })

function farmWith(...events: readonly FarmEvent[]): FarmState {
  const farm = createState({ ...SETTINGS, window: 1 }, 0)
  for (const event of events) decide(farm, event, 0)
  return farm
}

const opened = (id: string, summary: Partial<BatchSummary> = {}): FarmEvent =>
  openedOf(id, 2, 3, [segmentOf(0, 3)], summary)
const seen = (id: string, running: Running = [], changes: Partial<Worker> = {}): FarmEvent => ({
  type: 'workerSeen',
  worker: { ...workerOf(id, running), device: GPU, ...changes },
})

function explain(farm: FarmState, shardId: string, batchId = 'b1', nowMs = 0): Explanation {
  const batch = farm.batches.get(batchId)!
  const shard = batch.open.get(shardId)!
  return explainPlanned(farm, batch, shard, shard.items[0]![0], nowMs)
}

test('a shard that waits is told of by what keeps it: first the batch, then the workers, then the tenant, then the queue', () => {
  expect(explain(farmWith(opened('b1')), '0-2')).toMatchObject({ reason: 'no_worker' })
  const paused = farmWith(opened('b1'), { type: 'batchPaused', batchId: 'b1' })
  expect(explain(paused, '0-2')).toMatchObject({ reason: 'paused', remedy: 'resume it: darkroom resume b1' })
  const capped = farmWith(
    { type: 'tenantChanged', tenant: 'default', terms: { weight: 1, cap: 1, burst: 0 } },
    opened('b1'),
    seen('w1'),
    seen('w2'),
  )
  expect(explain(capped, '0-2')).toMatchObject({
    reason: 'tenant_at_cap',
    message: expect.stringContaining('(1 and 0'),
  })
  const busy = farmWith(opened('b1'), seen('w1'))
  expect(explain(busy, '0-2')).toMatchObject({
    reason: 'queued',
    message: expect.stringContaining('1 shards of its batch'),
  })
  const behind = farmWith(opened('b1'), opened('b2', { priority: 5 }), seen('w1'))
  expect(explain(behind, '0-2')).toMatchObject({ reason: 'behind_priority' })
  const other = farmWith(opened('b1', { tenant: 'a' }), seen('w1'), opened('b2', { tenant: 'b' }))
  expect(explain(other, '0-2')).toMatchObject({ reason: 'behind_tenants' })
})

test('what no worker has is named', () => {
  const needs = { deviceKind: 'cuda', memoryBytes: 40 * 2 ** 30, tags: ['nvlink'] }
  const farm = farmWith(opened('b1', { needs }), seen('w1'))
  expect(explain(farm, '0-0')).toEqual({
    reason: 'no_worker_fits',
    message: 'none of 1 workers has what its batch needs: 40 GiB of memory, tag nvlink',
    remedy: 'start a worker with 40 GiB of memory, tag nvlink',
  })
})

test('workers that fit and are given nothing are told of', () => {
  const farm = farmWith(opened('b1'), seen('w1', [], { state: WorkerState.DRAINING }))
  expect(explain(farm, '0-0')).toMatchObject({
    reason: 'no_worker_fits',
    message: expect.stringContaining('of 1 workers that fit, 0'),
  })
})

test('a shard that was dispatched is with its worker, as far as that has come', () => {
  const farm = farmWith(opened('b1'), seen('w1'))
  decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId: '0-0', attempt: 1, sequence: 1 }, 0)
  expect(explain(farm, '0-0')).toMatchObject({ reason: 'dispatched', message: expect.stringContaining('worker w1') })
  const running = [{ batchId: 'b1', shardId: '0-0', attempt: 1, stepsDone: 3, stepsTotal: 10 }]
  decide(farm, seen('w1', running), 0)
  expect(explain(farm, '0-0')).toEqual({
    reason: 'running',
    message: 'worker w1 has its shard, 3 of 10 steps done',
    remedy: '',
  })
})

test('a shard that has failed rests, and says on whom', () => {
  const farm = farmWith(openedOf('b1', 1, 1, [segmentOf(0, 1)]), seen('w1'))
  for (const attempt of [1, 2]) {
    decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId: '0-0', attempt, sequence: attempt }, 0)
    decide(farm, { type: 'attemptFailed', batchId: 'b1', shardId: '0-0', attempt, message: 'no' }, 0)
  }
  expect(explain(farm, '0-0', 'b1', 400)).toMatchObject({
    reason: 'resting',
    message: 'it is tried again in 1 s after 2 failed attempts, on w1',
  })
})

test('what is not planned yet waits for a worker that is free for it', () => {
  const farm = farmWith(openedOf('b1', 4, 3), seen('w1'), plannedOf('b1', 0, 3))
  const explanation = explainUnplanned(farm, farm.batches.get('b1')!, 3 * SEGMENT_ITEMS, 0)
  expect(explanation).toMatchObject({ reason: 'unplanned', message: expect.stringContaining('2 unplanned segments') })
})
