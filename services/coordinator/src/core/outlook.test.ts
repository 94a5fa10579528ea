import type { Worker } from '@darkroom/proto'
import { describe, expect, test } from 'vitest'
import { FIRST_SECONDS_PER_UNIT } from '../planner/cost-model.ts'
import { ofType, openedOf, resultOf, segmentOf, SETTINGS, workerOf } from './decide.harness.ts'
import { decide } from './decide.ts'
import { explainPlanned } from './explain.ts'
import type { FarmCommand, FarmEvent, SegmentSummary } from './messages.ts'
import { createState } from './state.ts'
import { swapSeconds } from './swaps.ts'

const CHECKPOINT = 'emoji-ddpm'
const QUICK_SECONDS = 10
const SLOW_SECONDS = 40

/** A farm of one place a worker, on which a shard of the usual length takes a quick worker 10 s and a slow one 40 s. */
class Tail {
  readonly state = createState({ ...SETTINGS, window: 1 }, 0)
  nowMs = 0
  readonly #held = new Map<string, FarmCommand & { type: 'dispatch' }>()
  readonly #resident = new Map<string, string>()

  /** Each has rendered one shard of a batch that is over. */
  static of(workers: Readonly<Record<string, number>>): Tail {
    const tail = new Tail()
    tail.state.costs.learn(
      { checkpoint: CHECKPOINT, deviceKind: null },
      'DDIMScheduler',
      1 / FIRST_SECONDS_PER_UNIT,
      10,
    )
    for (const id of Object.keys(workers)) tail.see(id, CHECKPOINT)
    tail.send(openedOf('before', 1, 1, [segmentOf(0, tail.state.workers.size)]))
    for (const [id, seconds] of Object.entries(workers)) tail.end(id, seconds)
    tail.tick()
    return tail
  }

  see(id: string, resident: string, changes: Partial<Worker> = {}): void {
    this.#resident.set(id, resident)
    const held = this.#held.get(id)
    const running = held === undefined ? [] : [held]
    this.send({ type: 'workerSeen', worker: { ...workerOf(id, running, [resident]), ...changes } })
  }

  send(event: FarmEvent): void {
    for (const given of ofType(decide(this.state, event, this.nowMs), 'dispatch')) {
      this.#held.set(given.workerId, given)
      this.send({ ...given, type: 'shardDispatched', sequence: 1 })
      this.see(given.workerId, this.#resident.get(given.workerId)!)
    }
  }

  tick(): void {
    this.send({ type: 'tick' })
  }

  end(id: string, seconds: number): void {
    const { batchId, shardId } = this.#held.get(id)!
    this.#held.delete(id)
    this.send({ type: 'shardEnded', batchId, shardId, result: resultOf('rendered', 3, seconds, id) })
    this.see(id, this.#resident.get(id)!)
  }

  open(id: string, segment: SegmentSummary, tenant = 'default'): void {
    this.send(openedOf(id, 1, segment.shards.length, [segment], { tenant }))
  }

  held(id: string): string | null {
    const given = this.#held.get(id)
    return given === undefined ? null : `${given.batchId}/${given.shardId}`
  }
}

/** Shards that take a quick worker so many seconds. */
function shardsOf(seconds: readonly number[], checkpoint = CHECKPOINT): SegmentSummary {
  const { shards } = segmentOf(0, seconds.length, checkpoint)
  return {
    shards: shards.map((shard, n) => ({
      ...shard,
      work: { DDIMScheduler: seconds[n]! / 10 / FIRST_SECONDS_PER_UNIT },
    })),
    ended: [],
  }
}

describe('towards the end of all work', () => {
  test('a slow worker idles rather than be the last: the shard is for a quick one that is soon done', () => {
    const tail = Tail.of({ quick: QUICK_SECONDS, slow: SLOW_SECONDS })
    tail.open('b1', shardsOf([10, 10]))
    tail.tick()
    expect([tail.held('quick'), tail.held('slow')]).toEqual(['b1/0-0', null])
    const batch = tail.state.batches.get('b1')!
    const { message } = explainPlanned(tail.state, batch, batch.open.get('0-1')!, 3, tail.nowMs)
    expect(message).toContain('1 idle workers leave it to busy ones, which will be done with it sooner')
    tail.end('quick', QUICK_SECONDS)
    expect(tail.held('quick')).toBe('b1/0-1')
  })

  test('a slow worker takes what quick ones could not be done with any sooner', () => {
    const tail = Tail.of({ quick: QUICK_SECONDS, slow: SLOW_SECONDS })
    tail.open('b1', shardsOf(Array.from({ length: 8 }, () => 10)))
    expect(tail.held('slow')).toMatch(/^b1/)
  })

  test('the longest shard goes first, and to a slow worker the longest that quick ones would not be done with sooner', () => {
    const tail = Tail.of({ quick: QUICK_SECONDS, slow: SLOW_SECONDS })
    const seconds = Array.from({ length: 300 }, () => 0.001)
    for (let n = 1; n <= 10; n++) seconds[290 - 7 * n] = n
    tail.open('b1', shardsOf(seconds))
    const secondsOf = (id: string): number => seconds[Number(tail.held(id)!.split('-')[1])]!
    expect([secondsOf('quick'), secondsOf('slow')]).toEqual([10, 8])
  })

  test('a slow worker takes what is left where the quick one has gone', () => {
    const tail = Tail.of({ quick: QUICK_SECONDS, slow: SLOW_SECONDS })
    tail.open('b1', shardsOf([10, 10]))
    tail.tick()
    tail.send({ type: 'workerDetached', workerId: 'quick' })
    tail.nowMs += SETTINGS.workerLeaseMs
    tail.tick()
    tail.see('slow', CHECKPOINT)
    tail.tick()
    expect(tail.held('slow')).toMatch(/^b1/)
  })

  test('nothing is loaded for a shard that another has the checkpoint for and is sooner done with', () => {
    const tail = Tail.of({ carrier: QUICK_SECONDS, other: QUICK_SECONDS })
    tail.see('other', 'another')
    tail.open('b1', shardsOf([10, 10]))
    tail.tick()
    expect(swapSeconds(tail.state.swaps)).toBeGreaterThan(QUICK_SECONDS)
    expect([tail.held('carrier'), tail.held('other')]).toEqual(['b1/0-0', null])
  })

  test('what is left to others waits for no longer than anything may', () => {
    const tail = Tail.of({ quick: QUICK_SECONDS, slow: SLOW_SECONDS })
    tail.open('b1', shardsOf([10, 10]))
    // It says that it lives, and is not done.
    for (; tail.nowMs <= SETTINGS.starvationMs; tail.nowMs += 1_000) {
      for (const id of ['quick', 'slow']) tail.see(id, CHECKPOINT, { activity: BigInt(tail.nowMs) })
      tail.tick()
    }
    expect(tail.held('slow')).toMatch(/^b1/)
  })

  test("a worker that leaves one tenant's last shard to others is given another's work", () => {
    const tail = Tail.of({ quick: QUICK_SECONDS, slow: SLOW_SECONDS })
    tail.open('b1', shardsOf([10, 10]), 'first')
    expect(tail.held('slow')).toBeNull()
    tail.open('b2', shardsOf(Array.from({ length: 20 }, () => 10)), 'second')
    expect(tail.held('slow')).toMatch(/^b2/)
  })

  test('once all is planned the longest shards are first, so that all workers end together', () => {
    const tail = Tail.of({ quick: QUICK_SECONDS, slow: SLOW_SECONDS })
    tail.open('b1', shardsOf([20, 30, 20, 50, 20, 20, 20]))
    expect([tail.held('quick'), tail.held('slow')]).toEqual(['b1/0-3', 'b1/0-0'])
  })
})
