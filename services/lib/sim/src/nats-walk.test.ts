import { DarkroomError } from '@darkroom/chassis'
import type { ShardDelivery } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { onRealNats, onVirtualNats, shard } from './nats-rigs.harness.ts'
import type { NatsRig } from './nats-rigs.harness.ts'
import { Random } from './random.ts'

const STEPS = 150
const WORKERS = ['w1', 'w2', 'w3']
const EXPIRES_MS = 1_000

/** Dispatches, pulls and answers at random, the same for the same seed. @returns what was seen of each step */
async function walk({ nats }: NatsRig, seed: number): Promise<unknown[]> {
  const random = new Random(seed)
  const deliveries: ShardDelivery[] = []
  const waiting = new Map(WORKERS.map((id) => [id, 0]))
  let sequences = 0
  const dispatch = async (workerId: string): Promise<unknown> => {
    waiting.set(workerId, waiting.get(workerId)! + 1)
    return nats.dispatchShard(workerId, shard(String(++sequences)))
  }
  const pull = async (workerId: string): Promise<unknown> => {
    // A pull of nothing takes a second of the real server's time: few of them.
    if (waiting.get(workerId) === 0 && random.chance(0.97)) return 'spared'
    const signal = new AbortController().signal
    const delivery = await nats.nextShard(workerId, { expiresMs: EXPIRES_MS, signal })
    waiting.set(workerId, delivery === null ? 0 : waiting.get(workerId)! - 1)
    if (delivery === null) return null
    deliveries.push(delivery)
    return [delivery.assignment.shardId, delivery.sequence, delivery.deliveryCount]
  }
  const actions: [weight: number, name: string, act: () => unknown][] = [
    [30, 'dispatch', () => dispatch(random.pick(WORKERS))],
    [40, 'pull', () => pull(random.pick(WORKERS))],
    [15, 'ack', () => random.pick(deliveries)?.ack()],
    [10, 'nak', () => random.pick(deliveries)?.nak(0)],
    [5, 'working', () => random.pick(deliveries)?.working()],
    [5, 'withdraw', () => nats.withdrawShard(1 + random.below(sequences + 1))],
    [1, 'purge', () => nats.purgeShards()],
  ]
  const deck = actions.flatMap(([weight, name, act]) => Array.from({ length: weight }, () => ({ name, act })))
  await nats.ensureStreams()
  const observations: unknown[] = []
  for (let step = 0; step < STEPS; step++) {
    const { name, act } = random.pick(deck)
    const seen = await Promise.resolve()
      .then(act)
      .catch((reason: unknown) => DarkroomError.from(reason).code)
    observations.push([step, name, seen])
  }
  return observations
}

test.concurrent.for([1, 2, 3, 4, 5, 6])(
  'the virtual JetStream and a real nats-server answer a random walk alike (seed %i)',
  async (seed) => {
    const seen: { virtual: unknown[]; real: unknown[] } = { virtual: [], real: [] }
    await onVirtualNats(async (rig) => void (seen.virtual = await walk(rig, seed)))
    await onRealNats(async (rig) => void (seen.real = await walk(rig, seed)))
    for (const [step, real] of seen.real.entries()) expect(seen.virtual[step]).toEqual(real)
  },
)
