import { halfIdsOf, SEGMENT_ITEMS } from '@darkroom/proto'
import type { ItemRanges } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { isHeldBack } from './hold-back.ts'
import {
  closedOf,
  ITEMS_PER_SHARD,
  ofType,
  openedOf,
  resultOf,
  segmentOf,
  SETTINGS,
  workerOf,
} from './decide.harness.ts'
import { decide } from './decide.ts'
import type { FarmCommand, FarmEvent } from './messages.ts'
import { meets } from './needs.ts'
import { INTERACTIVE_PLACES } from './slots.ts'
import { createState } from './state.ts'
import type { BatchSummary, FarmState, OpenBatch, OpenShard, ShardSummary } from './state.ts'
import { isAtLimit } from './tenants.ts'

/** Of a shard, or of a half of a half of one. */
const itemCountOf = (shardId: string): number =>
  (shardId.match(/[ab]/g) ?? []).reduce(
    (count, half) => (half === 'a' ? Math.ceil(count / 2) : Math.floor(count / 2)),
    ITEMS_PER_SHARD,
  )

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

const BATCHES = ['b1', 'b2', 'b3', 'b4', 'b5', 'b6']
const WORKERS = ['w0', 'w1', 'w2']
const CHECKPOINTS = ['emoji-ddpm', 'emoji-sd', 'emoji-xl']
const BIG = { deviceKind: null, memoryBytes: 0, tags: ['big'] }
const SEGMENTS = 3
const SHARDS_PER_SEGMENT = 4
const openItems = (batch: OpenBatch): number => batch.open.values().reduce((sum, shard) => sum + shard.itemCount, 0)

/** Shards that another worker failed may be one more than there is room for. */
const hasFailed = (assigned: Iterable<OpenShard>): boolean => [...assigned].some(({ failedOn }) => failedOn.length > 0)

const attemptsNow = ({ state, hedge }: OpenShard): number =>
  Number(state === 'dispatching' || state === 'dispatched') + Number(hedge !== null)

/**
 * Workers without a shard although there is one that they could render and whose tenant may have it, and that nobody else could be done
 * with sooner, since all who could render it are idle: none, by I8.
 */
function idleWithWork(farm: FarmState): string[] {
  const waiting = farm.batches
    .values()
    .filter((batch) => batch.isActive && batch.readyShards > 0)
    .toArray()
  return [...farm.taking].filter((id) => {
    const { assigned, profile } = farm.workers.get(id)!
    const isLeftToOthers = ({ needs }: OpenBatch): boolean =>
      [...farm.taking].some((other) => {
        const { assigned, profile } = farm.workers.get(other)!
        return assigned.size > 0 && meets(profile.offer, needs)
      })
    return (
      assigned.size === 0 &&
      waiting.some((batch) => !isAtLimit(batch.owner) && meets(profile.offer, batch.needs) && !isLeftToOthers(batch))
    )
  })
}

/** Plays bucket, stream and workers around the core, in a random order, and looks at the state after every event. */
class Walk {
  readonly farm = createState({ ...SETTINGS, auditShare: 0.2 }, 0)
  readonly finished = new Map<string, { items: number; isCancelled: boolean }>()
  readonly #random: ReturnType<typeof createRandom>
  readonly #held = new Map<string, { batchId: string; shardId: string; attempt: number }[]>()
  readonly #endOrders = new Set<string>()
  readonly #cancelled = new Set<string>()
  readonly #paused = new Set<string>()
  /** Items of batches whose plan was closed before their turn. */
  readonly #closed = new Map<string, number>()
  #pending: FarmCommand[] = []
  #stream: { batchId: string; shardId: string; attempt: number; workerId: string; sequence: number }[] = []
  #sequence = 0
  #nowMs = 0
  #opened = 0

  constructor(seed: number) {
    this.#random = createRandom(seed)
    this.#send({ type: 'tenantChanged', tenant: 't1', terms: { weight: 3, cap: 2, burst: 1 } })
    this.#send({ type: 'tenantChanged', tenant: 't2', terms: { weight: 1, cap: 1, burst: 0 } })
  }

  step(): void {
    this.#nowMs += this.#random.below(400)
    this.#random.pick<() => void>([
      () => this.#open(),
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
      () => this.#random.below(60) === 0 && this.#cancel(this.#random.pick(BATCHES)),
      () => this.#edit(this.#random.pick(BATCHES)),
      () => this.#random.below(40) === 0 && this.#wipe(),
      () => this.#send({ type: 'tick' }),
    ])()
  }

  /** From here on nothing goes wrong. */
  finish(): void {
    while (this.#opened < BATCHES.length) this.#open()
    this.#paused.clear()
    for (const batchId of BATCHES) this.#send({ type: 'batchResumed', batchId })
    for (const batchId of BATCHES) this.#send({ type: 'batchApproved', batchId })
    const all: ItemRanges = [[0, SEGMENTS * SEGMENT_ITEMS]]
    for (const batchId of BATCHES) this.#send({ type: 'itemsResumed', batchId, items: all })
    for (let round = 0; round < 2_000 && this.finished.size < BATCHES.length; round++) {
      this.#nowMs += 400
      while (this.#pending.length > 0) this.#carryOut(false)
      this.#pull(false)
      this.#end('rendered')
      for (const id of WORKERS) this.#heartbeat(id)
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
      const ready = batch.ready.values().flatMap(({ shards }) => shards)
      const planned = batch.open.values().filter(({ state }) => state === 'planned')
      expect(new Set(ready)).toEqual(new Set(planned))
      const held = batch.open.values().filter(({ state }) => state === 'held')
      expect(batch.heldShards).toBe([...held].length)
      const ending = batch.open.values().filter(({ state }) => state === 'ending')
      expect(batch.endingShards).toBe([...ending].length)
      expect(planned.some(({ items }) => isHeldBack(batch, items))).toBe(false)
      expect(batch.readyShards).toBe([...batch.ready.values()].reduce((sum, { shards }) => sum + shards.length, 0))
      const segments = [...batch.openSegments.values()]
      expect(segments.reduce((sum, { open }) => sum + open, 0)).toBe(batch.open.size)
      expect(segments.every(({ open }) => open > 0)).toBe(true)
      const known = segments.reduce((sum, { ended: { shards } }) => sum + shards, batch.completed.shards)
      expect(known).toBe(batch.endedShards)
      for (const shard of batch.open.values()) outstanding += attemptsNow(shard)
      for (const shard of batch.open.values()) expect(this.farm.hedged.has(shard)).toBe(shard.hedge !== null)
      const resting = batch.open.values().filter(({ state }) => state === 'resting')
      for (const shard of resting) expect(this.farm.resting.has(shard)).toBe(true)
    }
    expect(this.farm.outstanding).toBe(outstanding)
    for (const { id, assigned } of this.farm.workers.values())
      for (const shard of assigned) expect([shard.assignedTo, shard.hedge?.workerId]).toContain(id)
    for (const shard of this.farm.unowned) expect(shard).toMatchObject({ state: 'dispatched', workerId: null })
    this.#checkDispatches(commands)
    for (const { batchId, shardId } of ofType(commands, 'endShard')) {
      expect(this.#endOrders).not.toContain(`${batchId}/${shardId}`)
      this.#endOrders.add(`${batchId}/${shardId}`)
    }
  }

  /** A worker may come to hold more than it was given, and a tenant too: only a dispatch must find room. */
  #checkDispatches(commands: readonly FarmCommand[]): void {
    for (const { batchId, shardId, workerId } of ofType(commands, 'dispatch')) {
      expect(this.#cancelled).not.toContain(batchId)
      expect(this.#paused).not.toContain(batchId)
      const batch = this.farm.batches.get(batchId)!
      expect(isHeldBack(batch, batch.open.get(shardId)!.items)).toBe(false)
      const { owner, isInteractive, needs } = batch
      const { assigned, profile } = this.farm.workers.get(workerId)!
      expect(this.farm.taking).toContain(workerId)
      expect(meets(profile.offer, needs)).toBe(true)
      expect(assigned.size).toBeLessThanOrEqual(
        SETTINGS.window +
          (isInteractive || this.#hasInteractive(assigned) ? INTERACTIVE_PLACES : Number(hasFailed(assigned))),
      )
      expect(owner.running).toBeLessThanOrEqual((owner.terms.cap ?? Infinity) + owner.terms.burst)
    }
    for (const { name, running } of this.farm.tenants.values()) {
      const batches = this.farm.batches.values().filter(({ tenant }) => tenant === name)
      const shards = batches.flatMap(({ open }) => open.values())
      expect(running).toBe(shards.reduce((sum, shard) => sum + attemptsNow(shard), 0))
    }
    expect(idleWithWork(this.farm)).toEqual([])
  }

  #hasInteractive(shards: Iterable<{ readonly batchId: string }>): boolean {
    return [...shards].some(({ batchId }) => this.farm.batches.get(batchId)?.isInteractive)
  }

  #open(): void {
    const id = BATCHES[this.#opened]
    if (id === undefined) return
    this.#opened++
    const summary: Partial<BatchSummary> = {
      createdAtMs: this.#nowMs,
      tenant: this.#random.pick(['t1', 't2', 't3']),
      priority: this.#random.below(2),
      isInteractive: this.#random.below(4) === 0,
      ...(this.#random.below(4) === 0 && { needs: BIG }),
      approveAfter: this.#random.below(3) === 0 ? 1 + this.#random.below(SHARDS_PER_SEGMENT * ITEMS_PER_SHARD) : null,
    }
    this.#send(openedOf(id, SEGMENTS, SHARDS_PER_SEGMENT, [], summary))
  }

  #edit(batchId: string): void {
    const isPaused = this.farm.batches.has(batchId) && this.#random.below(8) === 0
    if (isPaused) this.#paused.add(batchId)
    else this.#paused.delete(batchId)
    this.#send({ type: isPaused ? 'batchPaused' : 'batchResumed', batchId })
    this.#send({ type: 'batchPriorityChanged', batchId, priority: this.#random.below(3) })
    if (this.#random.below(12) === 0) this.#send({ type: 'batchApproved', batchId })
    if (this.#random.below(12) === 0) this.#send({ type: 'itemsCancelled', batchId, items: this.#someItems() })
    if (this.#random.below(6) === 0) this.#send({ type: 'itemsPaused', batchId, items: this.#someItems() })
    if (this.#random.below(3) === 0) this.#send({ type: 'itemsResumed', batchId, items: this.#someItems() })
  }

  #someItems(): ItemRanges {
    const first =
      this.#random.below(SEGMENTS) * SEGMENT_ITEMS + this.#random.below(SHARDS_PER_SEGMENT * ITEMS_PER_SHARD)
    return [[first, first + this.#random.below(4 * ITEMS_PER_SHARD)]]
  }

  #carryOut(mayFail = true): void {
    const [command] = this.#pending.splice(this.#random.below(this.#pending.length), 1)
    switch (command?.type) {
      case 'planSegment': {
        const { batchId, segment } = command
        if (command.isClosing && this.#random.below(2) === 0) {
          this.#closed.set(batchId, (SEGMENTS - segment) * SHARDS_PER_SEGMENT * ITEMS_PER_SHARD)
          return this.#send(closedOf(batchId, segment))
        }
        // Its own, or that of another leader.
        const summary = segmentOf(segment, SHARDS_PER_SEGMENT, this.#random.pick(CHECKPOINTS))
        return this.#send({ type: 'segmentPlanned', batchId, segment, summary })
      }
      case 'dispatch': {
        const { batchId, shardId, attempt, workerId } = command
        // It failed, and is tried again some time.
        if (mayFail && this.#random.below(8) === 0) {
          this.#pending.push(command)
          return
        }
        const sequence = ++this.#sequence
        this.#stream.push({ batchId, shardId, attempt, workerId, sequence })
        return this.#send({ type: 'shardDispatched', batchId, shardId, attempt, sequence })
      }
      case 'audit': {
        const { batchId, shardId } = command
        this.#send({ type: 'auditDispatched', batchId, shardId, sequence: ++this.#sequence })
        if (mayFail && this.#random.below(4) === 0) return
        return this.#send({ type: 'auditEnded', batchId, shardId })
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
        const result = resultOf(kind, itemCount)
        if (kind !== 'split') return this.#send({ type: 'shardEnded', batchId, shardId, result })
        const shard = this.farm.batches.get(batchId)?.open.get(shardId)
        // Another record was first.
        if (shard === undefined) return
        const { checkpoint, work, items } = shard
        const firstItem = items[0]![0]
        const counts = [Math.ceil(itemCount / 2), Math.floor(itemCount / 2)] as const
        const [first, second] = halfIdsOf(shardId)
        const halves: ShardSummary[] = [
          { id: first, items: [[firstItem, firstItem + counts[0] - 1]], itemCount: counts[0], checkpoint, work },
          { id: second, items: [[firstItem + counts[0], items[0]![1]]], itemCount: counts[1], checkpoint, work },
        ]
        return this.#send({ type: 'shardEnded', batchId, shardId, result, halves })
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

  /** A worker takes a message; now and then another one, as two come to hold a shard when one was only thought to be lost. */
  #pull(mayStray = true): void {
    const message = this.#stream.shift()
    if (message === undefined) return
    const isStray = mayStray && this.#random.below(8) === 0
    const workerId = isStray ? this.#random.pick(WORKERS) : message.workerId
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
        ? {
            type: 'attemptFailed',
            batchId,
            shardId,
            attempt,
            message: 'it did not work',
            mayBeAnItem: attempt % 2 === 0,
          }
        : { type: 'shardEnded', batchId, shardId, result: resultOf('rendered', itemCountOf(shardId)) },
    )
  }

  #heartbeat(workerId = this.#random.pick(WORKERS)): void {
    const worker = workerOf(workerId, this.#held.get(workerId), [CHECKPOINTS[Number(workerId.slice(1))]!])
    this.#send({ type: 'workerSeen', worker: { ...worker, tags: workerId === 'w2' ? ['big'] : [] } })
  }

  #lose(): void {
    const workerId = this.#random.pick(WORKERS)
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

const SEEDS = Array.from({ length: 16 }, (_, seed) => seed + 1)

describe('a seeded random walk', () => {
  test.each(SEEDS)(
    'keeps every count, every cap and no worker idle with work, and ends every batch, seed %i',
    (seed) => {
      const walk = new Walk(seed)
      for (let step = 0; step < 1_200; step++) walk.step()
      walk.finish()
      expect([...walk.finished.keys()].toSorted()).toEqual(BATCHES)
      for (const { items, isCancelled } of walk.finished.values())
        if (!isCancelled) expect(items).toBe(SEGMENTS * SHARDS_PER_SEGMENT * ITEMS_PER_SHARD)
      expect(walk.farm.outstanding).toBe(0)
    },
  )
})
