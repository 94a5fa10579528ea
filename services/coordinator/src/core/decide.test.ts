import { create } from '@bufbuild/protobuf'
import { WorkerSchema } from '@darkroom/proto'
import type { Worker } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { decide } from './decide.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { createState } from './state.ts'
import type { FarmSettings, FarmState, OpenBatch, ShardResult } from './state.ts'

const SETTINGS: FarmSettings = { window: 2, maxFailures: 5, workerLeaseMs: 5_000, unownedMs: 10_000 }
const ITEMS_PER_SHARD = 3

type CommandOf<T extends FarmCommand['type']> = Extract<FarmCommand, { type: T }>
type Running = readonly { readonly batchId: string; readonly shardId: string; readonly attempt: number }[]

const ofType = <T extends FarmCommand['type']>(commands: readonly FarmCommand[], type: T): CommandOf<T>[] =>
  commands.filter((command): command is CommandOf<T> => command.type === type)

const workerOf = (id: string, running: Running = []): Worker => create(WorkerSchema, { id, running: [...running] })

function resultOf(kind: ShardResult['kind'], itemCount: number): ShardResult {
  return {
    kind,
    rendered: kind === 'rendered' ? itemCount : 0,
    failed: kind === 'failed' ? itemCount : 0,
    cancelled: kind === 'cancelled' ? itemCount : 0,
    images: kind === 'rendered' ? itemCount : 0,
    deviceSeconds: 1,
    schedulers:
      kind === 'rendered' ? [{ scheduler: 'DDIMScheduler', images: itemCount, steps: itemCount * 10, seconds: 1 }] : [],
  }
}

const openedOf = (id: string, segmentCount: number, shardsPerSegment: number): FarmEvent => {
  const itemCount = segmentCount * shardsPerSegment * ITEMS_PER_SHARD
  const batch = { id, itemCount, imageCount: itemCount, createdAtMs: 0 }
  return { type: 'batchOpened', batch, segmentCount, isCancelled: false }
}

const plannedOf = (batchId: string, segment: number, shardCount: number): FarmEvent => ({
  type: 'segmentPlanned',
  batchId,
  segment,
  itemCount: shardCount * ITEMS_PER_SHARD,
  shards: Array.from({ length: shardCount }, (_, n) => ({
    id: `${segment}-${n}`,
    itemCount: ITEMS_PER_SHARD,
    cost: 1,
    checkpoint: 'emoji-ddpm',
  })),
  ended: [],
})

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
    expect(ofType(commands, 'dispatch')).toEqual([{ type: 'dispatch', batchId: 'b1', shardId: '0-0', attempt: 1 }])
    take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt: 1 }, 7)
    decide(farm, { type: 'workerSeen', worker: workerOf('w2') }, 0)
    const after = decide(farm, { type: 'workerGone', workerId: 'w1' }, 1)
    expect(after).toContainEqual({ type: 'withdraw', sequence: 7 })
    expect(after).toContainEqual({ type: 'redispatched', reason: 'worker_lost' })
    expect(ofType(after, 'dispatch')).toEqual([{ type: 'dispatch', batchId: 'b1', shardId: '0-0', attempt: 2 }])
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
      const after = decide(farm, failed, 0)
      // A failure that is told twice counts once.
      const repeated = decide(farm, failed, 0)
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
    const after = [
      ...decide(farm, { type: 'cancelRequested', batchId: 'b1' }, 0),
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

  test('serves two batches in turn', () => {
    const farm = createState(SETTINGS, 0)
    for (const id of ['b1', 'b2']) {
      decide(farm, openedOf(id, 1, 4), 0)
      decide(farm, plannedOf(id, 0, 4), 0)
    }
    const first = ['w1', 'w2', 'w3'].flatMap((id) => decide(farm, { type: 'workerSeen', worker: workerOf(id) }, 0))
    const order = ofType(first, 'dispatch').map(({ batchId }) => batchId)
    expect(order).toEqual(['b1', 'b2', 'b1', 'b2', 'b1', 'b2'])
  })

  test('dispatches what a lost stream held again, but not what a worker holds', () => {
    const { farm } = farmWith(openedOf('b1', 1, 2), plannedOf('b1', 0, 2))
    take(farm, 'w1', { batchId: 'b1', shardId: '0-0', attempt: 1 }, 1)
    decide(farm, { type: 'shardDispatched', batchId: 'b1', shardId: '0-1', attempt: 1, sequence: 2 }, 0)
    expect(ofType(decide(farm, { type: 'queueLost' }, 0), 'dispatch')).toEqual([
      { type: 'dispatch', batchId: 'b1', shardId: '0-1', attempt: 2 },
    ])
  })

  test('takes over what workers hold before it dispatches anything itself', () => {
    const farm = createState(SETTINGS, 1_000)
    decide(farm, openedOf('b1', 1, 2), 0)
    decide(farm, plannedOf('b1', 0, 2), 0)
    const held = { batchId: 'b1', shardId: '0-1', attempt: 3 }
    expect(decide(farm, { type: 'workerSeen', worker: workerOf('w1', [held]) }, 0)).toEqual([])
    expect(ofType(decide(farm, { type: 'tick' }, 1_000), 'dispatch')).toEqual([
      { type: 'dispatch', batchId: 'b1', shardId: '0-0', attempt: 1 },
    ])
    expect(farm.outstanding).toBe(2)
  })

  test('leaves the other batches in turn when a batch is said to be finished twice', () => {
    const { farm } = farmWith(openedOf('b1', 1, 1), openedOf('b2', 1, 1))
    decide(farm, { type: 'batchFinished', batchId: 'b1' }, 0)
    decide(farm, { type: 'batchFinished', batchId: 'b1' }, 0)
    expect(farm.ring).toEqual(['b2'])
  })
})

/** Mulberry32. */
function createRandom(seed: number): { below: (limit: number) => number; pick: <T>(from: readonly T[]) => T } {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return { below, pick: (from) => from[below(from.length)]! }
}

const SEGMENTS = 3
const SHARDS_PER_SEGMENT = 4
const openItems = (batch: OpenBatch): number => batch.open.values().reduce((sum, shard) => sum + shard.itemCount, 0)

/** Plays bucket, stream and workers around the core, in a random order, and looks at the state after every event. */
class Walk {
  readonly farm = createState(SETTINGS, 0)
  readonly finished = new Map<string, { items: number; isCancelled: boolean }>()
  readonly #random: ReturnType<typeof createRandom>
  readonly #held = new Map<string, { batchId: string; shardId: string; attempt: number }[]>()
  readonly #endOrders = new Set<string>()
  readonly #cancelled = new Set<string>()
  #pending: FarmCommand[] = []
  #stream: { batchId: string; shardId: string; attempt: number; sequence: number }[] = []
  #sequence = 0
  #nowMs = 0
  #opened = 0

  constructor(seed: number) {
    this.#random = createRandom(seed)
  }

  step(): void {
    this.#nowMs += this.#random.below(400)
    this.#random.pick<() => void>([
      () => this.#opened < 4 && this.#send(openedOf(`b${++this.#opened}`, SEGMENTS, SHARDS_PER_SEGMENT)),
      () => this.#carryOut(),
      () => this.#carryOut(),
      () => this.#carryOut(),
      () => this.#pull(),
      () => this.#pull(),
      () => this.#end('rendered'),
      () => this.#end('failed'),
      () => this.#heartbeat(),
      () => this.#heartbeat(),
      () => this.#random.below(6) === 0 && this.#lose(),
      () => this.#random.below(60) === 0 && this.#cancel(`b${1 + this.#random.below(4)}`),
      () => this.#random.below(40) === 0 && this.#wipe(),
      () => this.#send({ type: 'tick' }),
    ])()
  }

  /** From here on nothing goes wrong. */
  finish(): void {
    while (this.#opened < 4) this.#send(openedOf(`b${++this.#opened}`, SEGMENTS, SHARDS_PER_SEGMENT))
    for (let round = 0; round < 2_000 && this.finished.size < 4; round++) {
      this.#nowMs += 400
      while (this.#pending.length > 0) this.#carryOut(false)
      this.#pull()
      this.#end('rendered')
      for (const id of ['w0', 'w1', 'w2']) this.#heartbeat(id)
      this.#send({ type: 'tick' })
    }
  }

  #send(event: FarmEvent): void {
    const commands = decide(this.farm, event, this.#nowMs)
    this.#pending.push(...commands)
    this.#check(commands)
  }

  #check(commands: readonly FarmCommand[]): void {
    let outstanding = 0
    for (const batch of this.farm.batches.values()) {
      const ended = batch.rendered + batch.failed + batch.cancelled
      const unplanned = (SEGMENTS - batch.nextSegment) * SHARDS_PER_SEGMENT * ITEMS_PER_SHARD
      expect(ended + openItems(batch) + unplanned).toBe(batch.itemCount)
      expect(new Set(batch.ready).size).toBe(batch.ready.length)
      for (const id of batch.ready) expect(batch.open.get(id)?.state).toBe('planned')
      const planned = batch.open.values().filter(({ state }) => state === 'planned')
      expect(planned.toArray()).toHaveLength(batch.ready.length)
      outstanding += batch.open
        .values()
        .filter(({ state }) => state === 'dispatching' || state === 'dispatched')
        .toArray().length
    }
    expect(this.farm.outstanding).toBe(outstanding)
    expect(this.farm.ring.toSorted()).toEqual([...this.farm.batches.keys()].toSorted())
    // The loss of a worker leaves more outstanding than the rest has room for; only a dispatch must find room.
    const dispatches = ofType(commands, 'dispatch')
    if (dispatches.length > 0) expect(outstanding).toBeLessThanOrEqual(this.farm.workers.size * SETTINGS.window)
    for (const { batchId } of dispatches) expect(this.#cancelled).not.toContain(batchId)
    for (const { batchId, shardId } of ofType(commands, 'endShard')) {
      expect(this.#endOrders).not.toContain(`${batchId}/${shardId}`)
      this.#endOrders.add(`${batchId}/${shardId}`)
    }
  }

  #carryOut(mayFail = true): void {
    const [command] = this.#pending.splice(this.#random.below(this.#pending.length), 1)
    switch (command?.type) {
      case 'planSegment':
        return this.#send(
          mayFail && this.#random.below(8) === 0
            ? { type: 'planningFailed', batchId: command.batchId }
            : plannedOf(command.batchId, command.segment, SHARDS_PER_SEGMENT),
        )
      case 'dispatch': {
        const { batchId, shardId, attempt } = command
        if (mayFail && this.#random.below(8) === 0)
          return this.#send({ type: 'dispatchFailed', batchId, shardId, attempt })
        const sequence = ++this.#sequence
        this.#stream.push({ batchId, shardId, attempt, sequence })
        return this.#send({ type: 'shardDispatched', batchId, shardId, attempt, sequence })
      }
      case 'withdraw':
        this.#stream = this.#stream.filter(({ sequence }) => sequence !== command.sequence)
        return
      case 'cancelOnWorker': {
        const held = this.#held.get(command.workerId) ?? []
        const left = held.filter(({ batchId, shardId }) => batchId !== command.batchId || shardId !== command.shardId)
        this.#held.set(command.workerId, left)
        return
      }
      case 'endShard': {
        const { batchId, shardId, kind, itemCount } = command
        return this.#send({ type: 'shardEnded', batchId, shardId, result: resultOf(kind, itemCount) })
      }
      case 'finalize': {
        const batch = this.farm.batches.get(command.batchId)!
        const items = batch.rendered + batch.failed + batch.cancelled
        expect(this.finished.has(command.batchId)).toBe(false)
        this.finished.set(command.batchId, { items, isCancelled: command.isCancelled })
        return this.#send({ type: 'batchFinished', batchId: command.batchId })
      }
      case 'changed':
      case 'redispatched':
      case undefined:
    }
  }

  /** A worker takes a message; two may come to hold the same shard, as they do when one was only thought to be lost. */
  #pull(): void {
    const workers = [...this.farm.workers.keys()]
    const message = this.#stream.shift()
    if (message === undefined || workers.length === 0) return
    const workerId = this.#random.pick(workers)
    this.#held.set(workerId, [...(this.#held.get(workerId) ?? []), message])
    this.#heartbeat(workerId)
  }

  #end(kind: 'rendered' | 'failed'): void {
    const busy = [...this.#held.values()].filter((held) => held.length > 0)
    if (busy.length === 0) return
    const one = this.#random.pick(busy).shift()!
    const { batchId, shardId, attempt } = one
    this.#send(
      kind === 'failed'
        ? { type: 'attemptFailed', batchId, shardId, attempt, message: 'it did not work' }
        : { type: 'shardEnded', batchId, shardId, result: resultOf('rendered', ITEMS_PER_SHARD) },
    )
  }

  #heartbeat(workerId = `w${this.#random.below(3)}`): void {
    this.#send({ type: 'workerSeen', worker: workerOf(workerId, this.#held.get(workerId)) })
  }

  #lose(): void {
    const workerId = `w${this.#random.below(3)}`
    this.#held.delete(workerId)
    this.#send({ type: 'workerGone', workerId })
  }

  #cancel(batchId: string): void {
    if (this.farm.batches.has(batchId)) this.#cancelled.add(batchId)
    this.#send({ type: 'cancelRequested', batchId })
  }

  #wipe(): void {
    this.#stream = []
    this.#send({ type: 'queueLost' })
  }
}

describe('a seeded random walk', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('keeps every count after every event and ends every batch, seed %i', (seed) => {
    const walk = new Walk(seed)
    for (let step = 0; step < 1_200; step++) walk.step()
    walk.finish()
    expect([...walk.finished.keys()].toSorted()).toEqual(['b1', 'b2', 'b3', 'b4'])
    for (const { items, isCancelled } of walk.finished.values())
      if (!isCancelled) expect(items).toBe(SEGMENTS * SHARDS_PER_SEGMENT * ITEMS_PER_SHARD)
    expect(walk.farm.outstanding).toBe(0)
  })
})
