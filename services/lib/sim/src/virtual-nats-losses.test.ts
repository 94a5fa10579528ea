import { expect } from 'vitest'
import { ACK_WAIT_MS, codeOf, completion, glance, pull, seen, shard, testOnBoth } from './nats-rigs.harness.ts'
import type { NatsRig } from './nats-rigs.harness.ts'

testOnBoth({
  'what is withdrawn is never delivered again, and whoever has it may still answer': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    const sequences: number[] = []
    for (const id of ['a', 'b', 'c']) sequences.push(await nats.dispatchShard('w', shard(id)))
    const [one, other] = [(await pull(nats, 'w'))!, (await pull(nats, 'w'))!]
    for (const sequence of sequences) await nats.withdrawShard(sequence)
    other.nak(0)
    expect(await pull(nats, 'w', 1.5 * ACK_WAIT_MS)).toBeNull()
    expect(await codeOf(one.ack())).toBe('ok')
  },

  'there is no harm in withdrawing what is acknowledged, withdrawn before, or was never there': async ({ nats }) => {
    await nats.ensureStreams()
    for (const id of ['a', 'b', 'c', 'd']) await nats.dispatchShard('w', shard(id))
    await pull(nats, 'w')
    await (await pull(nats, 'w'))!.ack()
    for (const sequence of [2, 3, 3, 1, 1, 99]) expect(await codeOf(nats.withdrawShard(sequence))).toBe('ok')
    expect(await seen(nats, 'w')).toMatchObject({ shardId: 'd' })
  },

  'an emptied stream delivers nothing of what it had, and what comes afterwards as before': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('a'))
    await nats.dispatchShard('w', shard('b'))
    const delivery = (await pull(nats, 'w'))!
    await nats.purgeShards()
    expect(await pull(nats, 'w', 1.5 * ACK_WAIT_MS)).toBeNull()
    expect(await codeOf(delivery.ack())).toBe('ok')
    expect(await nats.dispatchShard('w', shard('c'))).toBe(3)
    expect(await seen(nats, 'w')).toEqual({ shardId: 'c', sequence: 3, deliveryCount: 1 })
  },

  'what has had all its deliveries comes no more, also when more are allowed later': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await rig.limitDeliveries('w', 1)
    await nats.dispatchShard('w', shard('a'))
    await pull(nats, 'w')
    expect(await pull(nats, 'w', 1.5 * ACK_WAIT_MS)).toBeNull()
    await rig.limitDeliveries('w', -1)
    await nats.dispatchShard('w', shard('b'))
    expect(await seen(nats, 'w')).toMatchObject({ shardId: 'b' })
    expect(await pull(nats, 'w', 1_000)).toBeNull()
  },

  'a restart that keeps the storage delivers what waited, and again what was with a worker': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('a'))
    await nats.dispatchShard('w', shard('b'))
    await pull(nats, 'w')
    await rig.restart('kept')
    expect((await nats.ensureStreams()).created).toEqual([])
    const got = [await seen(nats, 'w'), await seen(nats, 'w')]
    const sorted = got.toSorted((a, b) => a!.sequence - b!.sequence)
    expect(sorted).toMatchObject([
      { shardId: 'a', sequence: 1 },
      { shardId: 'b', sequence: 2, deliveryCount: 1 },
    ])
    // The server writes down what it has delivered a moment later: one that is killed first does not know.
    expect([1, 2]).toContain(sorted[0]!.deliveryCount)
  },

  'after the loss of the storage the streams are made again, empty and counting anew': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await nats.dispatchShard('w', shard('a'))
    await nats.dispatchShard('w', shard('b'))
    await pull(nats, 'w')
    await rig.restart('lost')
    expect((await nats.ensureStreams()).created).not.toEqual([])
    expect(await pull(nats, 'w', 1_000)).toBeNull()
    expect(await nats.dispatchShard('w', shard('c'))).toBe(1)
    expect(await seen(nats, 'w')).toEqual({ shardId: 'c', sequence: 1, deliveryCount: 1 })
  },

  'an ack from before the loss of the storage fails where the worker has no consumer yet': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await nats.dispatchShard('w', shard('a'))
    const delivery = (await pull(nats, 'w'))!
    await rig.restart('lost')
    await nats.ensureStreams()
    expect(await codeOf(delivery.ack())).toBe('NATS_UNAVAILABLE')
  },

  'an ack from before the loss of the storage fails where another shard waits under its sequence, and leaves it':
    async (rig) => {
      const { nats } = rig
      await nats.ensureStreams()
      await nats.dispatchShard('w', shard('a'))
      const delivery = (await pull(nats, 'w'))!
      await rig.restart('lost')
      await nats.ensureStreams()
      await glance(nats, 'w')
      await nats.dispatchShard('w', shard('b'))
      expect(await codeOf(delivery.ack())).toBe('NATS_UNAVAILABLE')
      expect(await seen(nats, 'w')).toEqual({ shardId: 'b', sequence: 1, deliveryCount: 1 })
    },

  'an ack from before the loss of the storage removes another shard that was delivered under its sequence': async (
    rig,
  ) => {
    const { nats } = rig
    await nats.ensureStreams()
    await nats.dispatchShard('w', shard('a'))
    const delivery = (await pull(nats, 'w'))!
    await rig.restart('lost')
    await nats.ensureStreams()
    await rig.openWorker('w')
    await nats.dispatchShard('w', shard('b'))
    await pull(nats, 'w')
    expect(await codeOf(delivery.ack())).toBe('ok')
    expect(await pull(nats, 'w', 1.5 * ACK_WAIT_MS)).toBeNull()
  },

  'an ack from before the loss of the storage removes even what waits for another worker, once its own consumer is past it':
    async (rig) => {
      const { nats } = rig
      await nats.ensureStreams()
      await nats.dispatchShard('w', shard('a'))
      const delivery = (await pull(nats, 'w'))!
      await rig.restart('lost')
      await nats.ensureStreams()
      await nats.dispatchShard('other', shard('b'))
      await nats.dispatchShard('w', shard('c'))
      expect(await seen(nats, 'w')).toMatchObject({ shardId: 'c', sequence: 2 })
      expect(await codeOf(delivery.ack())).toBe('ok')
      expect(await pull(nats, 'other', 1_000)).toBeNull()
    },

  'completions are handled one after the other, and one that was refused comes again': async ({ nats }) => {
    await nats.ensureStreams()
    for (const id of ['a', 'b', 'c']) await nats.publishCompletion(completion(id))
    const handled = await handleUntil(nats, 4, (shardId, count) => {
      if (count === 1) throw new Error(`${shardId} is refused`)
    })
    expect(handled).toEqual(['a', 'b', 'c', 'a'])
  },

  'what one reader of completions has not begun, the next one gets': async ({ nats }) => {
    await nats.ensureStreams()
    for (const id of ['a', 'b', 'c']) await nats.publishCompletion(completion(id))
    const handled = [...(await handleUntil(nats, 1)), ...(await handleUntil(nats, 2))]
    expect(handled.toSorted()).toEqual(['a', 'b', 'c'])
  },

  'a completion that is handled for longer than the ack wait is acknowledged late, and comes no more': async (rig) => {
    const { nats } = rig
    await nats.ensureStreams()
    await rig.shortenCompletionsAckWait()
    await nats.publishCompletion(completion('a'))
    const handled = await handleUntil(nats, 2, async (shardId) => {
      if (shardId !== 'a') return
      // Lets an ack wait pass.
      await pull(nats, 'w', 1.5 * ACK_WAIT_MS)
      await nats.publishCompletion(completion('b'))
    })
    expect(handled).toEqual(['a', 'b'])
  },
})

/** Shard ids in the order of their being handled. */
async function handleUntil(
  nats: NatsRig['nats'],
  count: number,
  handle: (shardId: string, count: number) => void | Promise<void> = () => {},
): Promise<string[]> {
  const stop = new AbortController()
  const handled: string[] = []
  await nats.consumeCompletions(async ({ shardId }) => {
    if (handled.push(shardId) === count) stop.abort()
    await handle(shardId, handled.length)
  }, stop.signal)
  return handled
}
