import { describe, expect, test } from 'vitest'
import { hasWork } from './batch-life.ts'
import {
  closedOf,
  ITEMS_PER_SHARD,
  ofType,
  openedOf,
  plannedOf,
  resultOf,
  SETTINGS,
  workerOf,
} from './decide.harness.ts'
import { decide } from './decide.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { createState } from './state.ts'
import type { OpenBatch } from './state.ts'

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
  /** Items of batches whose plan was closed before their turn. */
  readonly #closed = new Map<string, number>()
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
      expect(ended + openItems(batch) + unplanned + (this.#closed.get(batch.id) ?? 0)).toBe(batch.itemCount)
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
    const withWork = this.farm.batches.values().filter(hasWork).toArray()
    expect([...this.farm.ring].toSorted()).toEqual(withWork.map(({ id }) => id).toSorted())
    expect(this.farm.planning).toBe(
      this.farm.batches
        .values()
        .filter(({ isPlanning }) => isPlanning)
        .toArray().length,
    )
    for (const shard of this.farm.unowned) expect(shard).toMatchObject({ state: 'dispatched', workerId: null })
    // The loss of a worker leaves more outstanding than the rest has room for; only a dispatch must find room.
    const dispatches = ofType(commands, 'dispatch')
    if (dispatches.length > 0) expect(outstanding).toBeLessThanOrEqual(this.farm.taking.size * SETTINGS.window)
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
        if (command.isClosing && this.#random.below(2) === 0) {
          const { batchId, segment } = command
          this.#closed.set(batchId, (SEGMENTS - segment) * SHARDS_PER_SEGMENT * ITEMS_PER_SHARD)
          return this.#send(closedOf(batchId, segment))
        }
        // Its own, or that of another leader.
        return this.#send(plannedOf(command.batchId, command.segment, SHARDS_PER_SEGMENT))
      case 'dispatch': {
        const { batchId, shardId, attempt } = command
        // It failed, and is tried again some time.
        if (mayFail && this.#random.below(8) === 0) {
          this.#pending.push(command)
          return
        }
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
    // It died, or only its stream did, and it comes back with what it holds.
    if (this.#random.below(2) === 0) this.#held.delete(workerId)
    this.#send({ type: 'workerDetached', workerId })
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
