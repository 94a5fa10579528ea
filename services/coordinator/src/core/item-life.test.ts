import { SEGMENT_ITEMS } from '@darkroom/proto'
import type { ItemRanges } from '@darkroom/proto'
import { expect, test } from 'vitest'
import { approvalOf } from './approval.ts'
import { ofType, openedOf, resultOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import { explainPlanned, explainUnplanned } from './explain.ts'
import { heldItems } from './hold-back.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { waitingSeconds } from './quote.ts'
import { createState } from './state.ts'
import type { BatchSummary } from './state.ts'

/** One segment of four shards of three items, and a worker that two of them fit. */
class OneBatch {
  readonly state = createState(SETTINGS, 0)
  #sequence = 0

  constructor(summary: Partial<BatchSummary> = {}) {
    this.send({ type: 'workerSeen', worker: workerOf('w1') })
    this.opened = this.send(openedOf('b1', 1, 4, [segmentOf(0, 4)], summary))
  }

  readonly opened: FarmCommand[]

  get batch() {
    return this.state.batches.get('b1')!
  }

  send(event: FarmEvent): FarmCommand[] {
    const commands = decide(this.state, event, 0)
    for (const { batchId, shardId, attempt } of ofType(commands, 'dispatch'))
      commands.push(...this.send({ type: 'shardDispatched', batchId, shardId, attempt, sequence: ++this.#sequence }))
    return commands
  }

  change(type: 'itemsCancelled' | 'itemsPaused' | 'itemsResumed', ...items: ItemRanges): FarmCommand[] {
    return this.send({ type, batchId: 'b1', items })
  }

  end(shardId: string, kind: 'rendered' | 'cancelled' = 'rendered'): FarmCommand[] {
    return this.send({ type: 'shardEnded', batchId: 'b1', shardId, result: resultOf(kind, 3) })
  }

  /** The worker tells of the shard. */
  taken(shardId: string): FarmCommand[] {
    return this.send({ type: 'workerSeen', worker: workerOf('w1', [{ batchId: 'b1', shardId, attempt: 1 }]) })
  }

  states(): string {
    return this.batch.open
      .values()
      .map(({ id, state }) => `${id} ${state}`)
      .toArray()
      .join(', ')
  }
}

test('a shard that has a paused item does not start until all of its paused items are resumed', () => {
  const farm = new OneBatch()
  expect(farm.states()).toBe('0-0 dispatched, 0-1 dispatched, 0-2 planned, 0-3 planned')
  farm.change('itemsPaused', [2, 2], [8, 9])
  expect(farm.states()).toBe('0-0 dispatched, 0-1 dispatched, 0-2 held, 0-3 held')
  expect(heldItems(farm.batch)).toBe(6)
  farm.end('0-0')
  expect(farm.states()).toBe('0-1 dispatched, 0-2 held, 0-3 held')
  farm.change('itemsResumed', [8, 8])
  expect(farm.states()).toBe('0-1 dispatched, 0-2 dispatched, 0-3 held')
  farm.change('itemsResumed', [0, 11])
  farm.end('0-1')
  expect(farm.states()).toBe('0-2 dispatched, 0-3 dispatched')
})

test('while nothing is left but what is paused, its tenant gathers no claim and no worker is wanted for it', () => {
  const farm = new OneBatch()
  farm.change('itemsPaused', [6, 11])
  for (const id of ['0-0', '0-1']) farm.end(id)
  expect([farm.batch.isActive, farm.batch.owner.active]).toEqual([false, 0])
  expect(waitingSeconds(farm.state)).toBe(0)
  farm.change('itemsResumed', [6, 8])
  expect([farm.batch.isActive, farm.batch.owner.active]).toEqual([true, 1])
  expect(farm.states()).toBe('0-2 dispatched, 0-3 held')
})

test('what is paused and fails with its worker is not given to another', () => {
  const farm = new OneBatch()
  farm.taken('0-0')
  farm.change('itemsPaused', [0, 0])
  expect(farm.states()).toContain('0-0 dispatched')
  farm.send({ type: 'attemptFailed', batchId: 'b1', shardId: '0-0', attempt: 1, workerId: 'w1', message: 'no' })
  expect(farm.states()).toContain('0-0 held')
})

test('cancelled items of a shard that waits are left out, and one that has nothing else is ended', () => {
  const farm = new OneBatch()
  const commands = farm.change('itemsCancelled', [7, 11])
  expect(ofType(commands, 'endShard')).toMatchObject([{ shardId: '0-3', kind: 'cancelled', itemCount: 3 }])
  expect(ofType(commands, 'cancelItemsOnWorker')).toEqual([])
  farm.end('0-3', 'cancelled')
  expect(farm.states()).toBe('0-0 dispatched, 0-1 dispatched, 0-2 planned')
})

test('a worker is told what is cancelled of a shard at each report, and of one that it takes later', () => {
  const farm = new OneBatch()
  farm.taken('0-0')
  const order = { workerId: 'w1', batchId: 'b1' }
  const commands = farm.change('itemsCancelled', [1, 3])
  expect(ofType(commands, 'cancelItemsOnWorker')).toEqual([
    { type: 'cancelItemsOnWorker', ...order, shardId: '0-0', items: [[1, 2]] },
  ])
  expect(ofType(farm.taken('0-0'), 'cancelItemsOnWorker')).toHaveLength(1)
  expect(ofType(farm.taken('0-1'), 'cancelItemsOnWorker')).toEqual([
    { type: 'cancelItemsOnWorker', ...order, shardId: '0-1', items: [[3, 3]] },
  ])
})

test('a shard in hands whose items are all cancelled is taken back, and the batch ends with the others', () => {
  const farm = new OneBatch()
  farm.taken('0-0')
  const commands = farm.change('itemsCancelled', [0, 2])
  expect(ofType(commands, 'cancelOnWorker')).toMatchObject([{ workerId: 'w1', shardId: '0-0' }])
  expect(ofType(commands, 'endShard')).toMatchObject([{ shardId: '0-0', kind: 'cancelled' }])
  farm.end('0-0', 'cancelled')
  for (const id of ['0-1', '0-2']) farm.end(id)
  expect(ofType(farm.end('0-3'), 'finalize')).toEqual([{ type: 'finalize', batchId: 'b1', isCancelled: false }])
  expect(farm.batch).toMatchObject({ rendered: 9, cancelled: 3 })
})

test('what was paused and cancelled before a restart is so after it', () => {
  const farm = new OneBatch({ pausedItems: [[0, 1]], cancelledItems: [[3, 5]] })
  expect(ofType(farm.opened, 'endShard')).toMatchObject([{ shardId: '0-1', kind: 'cancelled' }])
  expect(farm.states()).toBe('0-0 held, 0-1 ending, 0-2 dispatched, 0-3 dispatched')
})

test('cancelled items are not among those that wait for a yes', () => {
  const farm = new OneBatch({ approveAfter: 3 })
  expect(heldItems(farm.batch)).toBe(9)
  farm.change('itemsCancelled', [3, 5])
  farm.end('0-1', 'cancelled')
  expect(heldItems(farm.batch)).toBe(6)
  farm.change('itemsPaused', [0, 0])
  farm.end('0-0')
  expect(approvalOf(farm.batch)).toBe('waiting')
})

test('who asks why an item waits is told of the pause, or that it was cancelled', () => {
  const farm = new OneBatch()
  farm.change('itemsPaused', [7, 7], [9, 10])
  farm.change('itemsCancelled', [6, 6])
  const shard = farm.batch.open.get('0-2')!
  expect(explainPlanned(farm.state, farm.batch, shard, 8, 0)).toEqual({
    reason: 'item_paused',
    message: 'its shard is rendered as one and has paused items: 7',
    remedy: 'resume them: darkroom resume b1 --items 7',
  })
  expect(explainPlanned(farm.state, farm.batch, shard, 6, 0)).toMatchObject({ reason: 'item_cancelled' })
  expect(explainUnplanned(farm.state, farm.batch, 6, 0)).toMatchObject({ reason: 'item_cancelled' })
})

test('a paused item that is cancelled holds nobody back', () => {
  const farm = new OneBatch()
  farm.change('itemsPaused', [9, 9])
  for (const id of ['0-0', '0-1', '0-2']) farm.end(id)
  expect([farm.states(), farm.batch.isActive]).toEqual(['0-3 held', false])
  farm.change('itemsCancelled', [9, 9])
  expect([farm.states(), farm.batch.isActive]).toEqual(['0-3 dispatched', true])
})

test('however many items are paused or cancelled, a bounded number of shards is planned ahead', () => {
  const [segments, shards] = [40, 300]
  for (const type of ['itemsPaused', 'itemsCancelled'] as const) {
    const state = createState(SETTINGS, 0)
    decide(state, { type: 'workerSeen', worker: workerOf('w1') }, 0)
    let commands = decide(state, openedOf('b1', segments, shards), 0)
    commands.push(...decide(state, { type, batchId: 'b1', items: [[0, segments * SEGMENT_ITEMS]] }, 0))
    for (let [plan] = ofType(commands, 'planSegment'); plan !== undefined; [plan] = ofType(commands, 'planSegment')) {
      const { segment } = plan
      const summary = segmentOf(segment, shards)
      commands = decide(state, { type: 'segmentPlanned', batchId: 'b1', segment, summary }, 0)
    }
    expect(state.batches.get('b1')!.open.size).toBe(4_200)
  }
})
