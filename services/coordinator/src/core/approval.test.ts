import { SEGMENT_ITEMS } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { approvalOf } from './approval.ts'
import {
  ITEMS_PER_SHARD,
  ofType,
  openedOf,
  plannedOf,
  resultOf,
  segmentOf,
  SETTINGS,
  workerOf,
} from './decide.harness.ts'
import { decide } from './decide.ts'
import { explainPlanned, explainUnplanned } from './explain.ts'
import { heldItems } from './hold-back.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { waitingSeconds } from './quote.ts'
import { createState } from './state.ts'

const ONE_SHARD = ITEMS_PER_SHARD

/** A batch of two segments of three shards, of which the first shard is shown before the others start. */
class AskingFarm {
  readonly state = createState(SETTINGS, 0)

  constructor(isApproved = false) {
    for (const id of ['w1', 'w2']) this.send({ type: 'workerSeen', worker: workerOf(id) })
    this.send(openedOf('b1', 2, 3, [segmentOf(0, 3)], { approveAfter: ONE_SHARD, isApproved }))
  }

  get batch() {
    return this.state.batches.get('b1')!
  }

  send(event: FarmEvent): FarmCommand[] {
    return decide(this.state, event, 0)
  }

  end(shardId: string): FarmCommand[] {
    return this.send({ type: 'shardEnded', batchId: 'b1', shardId, result: resultOf('rendered', ITEMS_PER_SHARD) })
  }

  states(): Record<string, string> {
    return Object.fromEntries(this.batch.open.values().map(({ id, state }) => [id, state]))
  }
}

test('the first items start, the others wait, and a segment that has none of the first is not planned', () => {
  const farm = new AskingFarm()
  expect(farm.states()).toEqual({ '0-0': 'dispatching', '0-1': 'held', '0-2': 'held' })
  expect(approvalOf(farm.batch)).toBe('rendering')
  expect(ofType(farm.send({ type: 'tick' }), 'planSegment')).toEqual([])
})

test('once the first items are there a yes is waited for, and then everything starts', () => {
  const farm = new AskingFarm()
  farm.end('0-0')
  expect(approvalOf(farm.batch)).toBe('waiting')
  expect(farm.states()).toEqual({ '0-1': 'held', '0-2': 'held' })
  const commands = farm.send({ type: 'batchApproved', batchId: 'b1' })
  expect(ofType(commands, 'dispatch').map(({ shardId }) => shardId)).toEqual(['0-1', '0-2'])
  expect(ofType(commands, 'planSegment')).toMatchObject([{ segment: 1 }])
  expect(approvalOf(farm.batch)).toBe('given')
  farm.send(plannedOf('b1', 1, 3))
  for (const id of ['0-1', '0-2', '1-0', '1-1']) farm.end(id)
  expect(ofType(farm.end('1-2'), 'finalize')).toMatchObject([{ isCancelled: false }])
})

test('a yes before the first items are there lets everything start at once, and a second one changes nothing', () => {
  const farm = new AskingFarm()
  farm.send({ type: 'batchApproved', batchId: 'b1' })
  expect(Object.values(farm.states())).not.toContain('held')
  expect(ofType(farm.send({ type: 'batchApproved', batchId: 'b1' }), 'dispatch')).toEqual([])
})

test('a coordinator that takes over an approved batch asks nobody again', () => {
  expect(Object.values(new AskingFarm(true).states())).not.toContain('held')
})

test('a batch that is cancelled while it waits ends, with what waits as cancelled', () => {
  const farm = new AskingFarm()
  farm.end('0-0')
  const commands = farm.send({ type: 'cancelRequested', batchId: 'b1' })
  expect(ofType(commands, 'endShard').map(({ shardId, kind }) => [shardId, kind])).toEqual([
    ['0-1', 'cancelled'],
    ['0-2', 'cancelled'],
  ])
  expect(ofType(commands, 'planSegment')).toMatchObject([{ segment: 1, isClosing: true }])
})

test('a first shard that is halved is still of the first items', () => {
  const farm = new AskingFarm()
  const half = { itemCount: 1, checkpoint: 'emoji-ddpm', work: farm.batch.open.get('0-0')!.work }
  const halves = [
    { ...half, id: '0-0a', items: [[0, 0]] as const },
    { ...half, id: '0-0b', items: [[2, 2]] as const },
  ]
  farm.send({ type: 'shardEnded', batchId: 'b1', shardId: '0-0', result: resultOf('split', 0), halves })
  expect(farm.states()).toMatchObject({ '0-0a': 'dispatching', '0-0b': 'dispatching', '0-1': 'held' })
})

test('who asks why an item waits is told of the yes', () => {
  const farm = new AskingFarm()
  const explain = () => explainPlanned(farm.state, farm.batch, farm.batch.open.get('0-1')!, ONE_SHARD, 0)
  const remedy = 'say yes: darkroom approve b1'
  expect(explain()).toMatchObject({ reason: 'awaiting_approval', remedy })
  expect(explain().message).toContain(`the first ${ONE_SHARD} items of its batch are rendered first`)
  farm.end('0-0')
  expect(explain().message).toContain('are there')
  expect(explainUnplanned(farm.state, farm.batch, SEGMENT_ITEMS, 0)).toMatchObject({
    reason: 'awaiting_approval',
    remedy,
  })
})

test('while a batch waits for a yes its tenant gathers no claim, resumed or not, and nothing of it is in the backlog', () => {
  const farm = new AskingFarm()
  const other = { tenant: 'other', approveAfter: null }
  farm.send(openedOf('b2', 1, 60, [segmentOf(0, 60)], other))
  farm.end('0-0')
  const tenant = farm.state.tenants.get('default')!
  expect([farm.batch.isActive, tenant.active]).toEqual([false, 0])
  farm.send({ type: 'batchPaused', batchId: 'b1' })
  farm.send({ type: 'batchResumed', batchId: 'b1' })
  expect(farm.batch.isActive).toBe(false)
  expect(heldItems(farm.batch)).toBe(farm.batch.itemCount - ONE_SHARD)
  expect(waitingSeconds(farm.state, ({ id }) => id === 'b1')).toBe(0)
  farm.state.virtualTime = 500
  farm.send({ type: 'batchApproved', batchId: 'b1' })
  expect([farm.batch.isActive, tenant.active, tenant.service >= 500]).toEqual([true, 1, true])
  expect(waitingSeconds(farm.state, ({ id }) => id === 'b1')).toBeGreaterThan(0)
})
