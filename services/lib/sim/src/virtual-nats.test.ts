import { expect } from 'vitest'
import { ACK_WAIT_MS, codeOf, completion, glance, pull, seen, shard, testOnBoth } from './nats-rigs.harness.ts'

testOnBoth({
  'the streams are made once': async ({ nats }) => {
    expect((await nats.ensureStreams()).created).not.toEqual([])
    expect((await nats.ensureStreams()).created).toEqual([])
  },

  'without its streams everything fails as NATS_UNAVAILABLE, but to withdraw, which has nothing to do': async ({
    nats,
  }) => {
    expect(await codeOf(nats.dispatchShard('w', shard('a')))).toBe('NATS_UNAVAILABLE')
    expect(await codeOf(nats.publishCompletion(completion('a')))).toBe('NATS_UNAVAILABLE')
    expect(await codeOf(nats.purgeShards())).toBe('NATS_UNAVAILABLE')
    expect(await codeOf(pull(nats, 'w', 1_000))).toBe('NATS_UNAVAILABLE')
    expect(await codeOf(nats.withdrawShard(1))).toBe('ok')
  },

  'what was published is delivered to its worker alone, in order, with the sequence that its publisher was told':
    async ({ nats }) => {
      await nats.ensureStreams()
      const sequences = [
        await nats.dispatchShard('w', shard('a')),
        await nats.dispatchShard('other', shard('b')),
        await nats.dispatchShard('w', shard('c')),
      ]
      expect(sequences).toEqual([1, 2, 3])
      expect(await seen(nats, 'w')).toEqual({ shardId: 'a', sequence: 1, deliveryCount: 1 })
      expect(await seen(nats, 'w')).toEqual({ shardId: 'c', sequence: 3, deliveryCount: 1 })
      expect(await seen(nats, 'w', 1_000)).toBeNull()
      expect(await seen(nats, 'other')).toEqual({ shardId: 'b', sequence: 2, deliveryCount: 1 })
    },

  'a pull waits for what is published meanwhile, and ends with nothing when its time is over': async (rig) => {
    const { nats } = rig
    await rig.nats.ensureStreams()
    const startMs = rig.nowMs()
    expect(await pull(nats, 'w', 1_000)).toBeNull()
    expect(rig.nowMs() - startMs).toBeGreaterThanOrEqual(950)
    const waiting = pull(nats, 'w', 10_000)
    await nats.dispatchShard('w', shard('a'))
    expect((await waiting)?.assignment.shardId).toBe('a')
    expect(rig.nowMs() - startMs).toBeLessThan(5_000)
  },

  'a pull that is broken off ends at once and takes nothing with it': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    const startMs = rig.nowMs()
    await glance(nats, 'w')
    await nats.dispatchShard('w', shard('a'))
    expect(await seen(nats, 'w')).toMatchObject({ shardId: 'a', deliveryCount: 1 })
    expect(rig.nowMs() - startMs).toBeLessThan(5_000)
  },

  'a pull that comes after its signal asks for nothing': async ({ nats }) => {
    expect(await nats.nextShard('w', { expiresMs: 1_000, signal: AbortSignal.abort() })).toBeNull()
  },

  'what is acknowledged is gone': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('a'))
    await (await pull(nats, 'w'))!.ack()
    expect(await pull(nats, 'w', 1.5 * ACK_WAIT_MS)).toBeNull()
  },

  'what is not acknowledged comes again after the ack wait, with its count grown, and so on': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('a'))
    await pull(nats, 'w')
    for (const deliveryCount of [2, 3]) {
      const startMs = rig.nowMs()
      expect(await seen(nats, 'w')).toEqual({ shardId: 'a', sequence: 1, deliveryCount })
      expectAbout(rig.nowMs() - startMs, ACK_WAIT_MS)
    }
  },

  'a sign of work puts the redelivery off by an ack wait': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('a'))
    const delivery = (await pull(nats, 'w'))!
    expect(await pull(nats, 'w', 0.6 * ACK_WAIT_MS)).toBeNull()
    delivery.working()
    const startMs = rig.nowMs()
    expect(await seen(nats, 'w')).toMatchObject({ shardId: 'a', deliveryCount: 2 })
    expectAbout(rig.nowMs() - startMs, ACK_WAIT_MS)
  },

  'what is given back comes again at once, before what was never delivered': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    for (const id of ['a', 'b', 'c']) await nats.dispatchShard('w', shard(id))
    const deliveries = [(await pull(nats, 'w'))!, (await pull(nats, 'w'))!]
    for (const delivery of deliveries) delivery.nak(0)
    const startMs = rig.nowMs()
    expect(await seen(nats, 'w')).toMatchObject({ shardId: 'a', deliveryCount: 2 })
    expect(await seen(nats, 'w')).toMatchObject({ shardId: 'b', deliveryCount: 2 })
    expect(await seen(nats, 'w')).toMatchObject({ shardId: 'c', deliveryCount: 1 })
    expect(rig.nowMs() - startMs).toBeLessThan(ACK_WAIT_MS / 2)
  },

  'what is given back with a delay comes again after it, and neither sooner nor later': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    for (const delayMs of [ACK_WAIT_MS / 2, 1.5 * ACK_WAIT_MS]) {
      await nats.dispatchShard('w', shard('a'))
      const delivery = (await pull(nats, 'w'))!
      const startMs = rig.nowMs()
      delivery.nak(delayMs)
      const again = (await pull(nats, 'w'))!
      expect(again.deliveryCount).toBe(2)
      expectAbout(rig.nowMs() - startMs, delayMs)
      await again.ack()
    }
  },

  'a late ack of what is with a worker again removes it': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('a'))
    const first = (await pull(nats, 'w'))!
    expect((await pull(nats, 'w'))?.deliveryCount).toBe(2)
    await first.ack()
    expect(await pull(nats, 'w', 1.5 * ACK_WAIT_MS)).toBeNull()
  },

  'a late ack of what waits to be delivered again removes it': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('a'))
    const delivery = (await pull(nats, 'w'))!
    // Time passes, and another worker's pull takes nothing.
    expect(await pull(nats, 'other', 1.5 * ACK_WAIT_MS)).toBeNull()
    await delivery.ack()
    expect(await pull(nats, 'w', 1_000)).toBeNull()
  },

  'only the first answer to a delivery counts': async ({ nats }) => {
    await nats.ensureStreams()
    await nats.dispatchShard('w', shard('a'))
    const first = (await pull(nats, 'w'))!
    first.nak(0)
    expect(await codeOf(first.ack())).toBe('ok')
    const second = (await pull(nats, 'w'))!
    expect(second.deliveryCount).toBe(2)
    first.nak(0)
    await second.ack()
    second.nak(0)
    expect(await codeOf(second.ack())).toBe('ok')
    expect(await pull(nats, 'w', 1_000)).toBeNull()
  },
})

/** A busy machine may be late, never early by more than its timers' grain. */
function expectAbout(tookMs: number, wantMs: number): void {
  expect(tookMs).toBeGreaterThan(wantMs - 150)
  expect(tookMs).toBeLessThan(wantMs + 1_500)
}
