import type { FaultKind, SimulationOptions } from '@darkroom/sim'
import { simulate } from '@darkroom/sim'
import { afterEach, expect, test, vi } from 'vitest'
import type { decide } from '../../services/coordinator/src/core/decide.ts'

type Decide = typeof decide
type Mutation = (sound: Decide, ...args: Parameters<Decide>) => ReturnType<Decide>

const core = vi.hoisted(() => ({ mutation: null as Mutation | null }))

vi.mock('../../services/coordinator/src/core/decide.ts', async (load) => {
  const { decide: sound } = await load<{ decide: Decide }>()
  return { decide: (...args: Parameters<Decide>) => core.mutation?.(sound, ...args) ?? sound(...args) }
})

afterEach(() => {
  core.mutation = null
})

type Tamper = NonNullable<SimulationOptions['tamper']>

/** Whether one of a few seeds shows that this is violated. */
async function isSeen(invariant: string, faults: readonly FaultKind[], tamper: Tamper = () => {}): Promise<boolean> {
  for (let seed = 1; seed <= 10; seed++) {
    const { violation } = await simulate({ seed, workers: 6, items: 40, faults, tamper })
    if (violation?.invariant === invariant) return true
  }
  return false
}

/** A core that does something more after each event. */
const afterwards =
  (change: (...args: Parameters<Decide>) => void): Mutation =>
  (sound, ...args) => {
    const commands = sound(...args)
    change(...args)
    return commands
  }

test('a sound farm violates nothing', async () => {
  for (let seed = 1; seed <= 10; seed++)
    expect(await simulate({ seed, workers: 6, items: 40, faults: [] })).toMatchObject({ violation: null })
})

test('I1: a core that counts an item twice', async () => {
  core.mutation = afterwards((farm, event) => {
    if (event.type === 'shardEnded') farm.batches.get(event.batchId)!.rendered++
  })
  expect(await isSeen('I1', [])).toBe(true)
})

test('I2: a core that takes no notice when NATS has lost its storage', async () => {
  core.mutation = (sound, farm, event, nowMs) => {
    // More than workers take at once, so that there is something to lose.
    Object.assign(farm.settings, { window: 6 })
    return event.type === 'queueLost' || event.type === 'tick' ? [] : sound(farm, event, nowMs)
  }
  expect(await isSeen('I2', ['natsWipe'])).toBe(true)
})

test('I3: a record with an image twice', async () => {
  expect(
    await isSeen('I3', [], ({ bucket }) => {
      const put = bucket.put.bind(bucket)
      bucket.put = (key, body, writer) => put(key, body.replace(/"images":\[(\{.*?\})\]/, '"images":[$1,$1]'), writer)
    }),
  ).toBe(true)
})

test('I4: an object store that does not honour conditional writes', async () => {
  expect(await isSeen('I4', ['twoLeaders', 'workerHang'], ({ bucket }) => (bucket.honoursConditions = false))).toBe(
    true,
  )
})

test('I6: a core that gives a shard up at its first failure', async () => {
  core.mutation = (sound, farm, event, nowMs) => {
    Object.assign(farm.settings, { maxFailures: 1 })
    return sound(farm, event, nowMs)
  }
  expect(await isSeen('I6', ['workerCrash'])).toBe(true)
})

test('I6: a core that fails a whole shard for one item of it', async () => {
  core.mutation = (sound, ...args) =>
    sound(...args).map((command) =>
      command.type === 'endShard' && command.kind === 'split' ? { ...command, kind: 'failed' as const } : command,
    )
  expect(await isSeen('I6', ['poison'])).toBe(true)
})

test('I8: a core that forgets to dispatch a shard', async () => {
  core.mutation = (sound, ...args) =>
    sound(...args).filter(({ type, ...command }) => type !== 'dispatch' || !JSON.stringify(command).includes('-00003'))
  expect(await isSeen('I8', [])).toBe(true)
})

test('I9: a core that forgets what runs when a batch is cancelled', async () => {
  core.mutation = (sound, farm, event, nowMs) => {
    const commands = sound(farm, event, nowMs).filter(({ type }) => type !== 'cancelOnWorker')
    if (event.type !== 'cancelRequested') return commands
    farm.batches.get(event.batchId)?.open.clear()
    return commands.filter(({ type }) => type !== 'endShard')
  }
  expect(await isSeen('I9', ['cancel'])).toBe(true)
})

test('I10: a record that names the picture of another item', async () => {
  expect(
    await isSeen('I10', [], ({ bucket }) => {
      const put = bucket.put.bind(bucket)
      bucket.put = (key, body, writer) => put(key, body.replace(/"name":"(\d+)-0/, '"name":"$11-0'), writer)
    }),
  ).toBe(true)
})

test('I11: records that charge for more than was rendered', async () => {
  expect(
    await isSeen('I11', [], ({ bucket }) => {
      const put = bucket.putIfAbsent.bind(bucket)
      const doubled = (_: string, name: string, seconds: string) => `"${name}":${2 * Number(seconds)}`
      bucket.putIfAbsent = (key, body, writer) =>
        put(key, body.replaceAll(/"(seconds|deviceSeconds)":([\d.e-]+)/g, doubled), writer)
    }),
  ).toBe(true)
})

test('I11: a coordinator that adds what a worker tells to what it told before', async () => {
  expect(
    await isSeen('I11', [], ({ bucket }) => {
      const put = bucket.put.bind(bucket)
      let sum = 0
      bucket.put = (key, body, writer) => {
        const added = (_: string, seconds: string) => `"renderSeconds":${(sum += Number(seconds))}`
        put(key, body.replace(/"renderSeconds":([\d.e-]+)/, added), writer)
      }
    }),
  ).toBe(true)
})

test('I12: a core that remembers every event', async () => {
  const all: unknown[] = []
  core.mutation = afterwards((farm, event) => {
    all.push(event)
    Object.assign(farm, { all })
  })
  expect(await isSeen('I12', [])).toBe(true)
})

test('I13: a core that loses count at the end', async () => {
  core.mutation = afterwards((farm, event) => {
    const batch = event.type === 'shardEnded' ? farm.batches.get(event.batchId) : undefined
    if (batch?.state === 'finalizing') batch.rendered--
  })
  expect(await isSeen('I13', [])).toBe(true)
})

test('I14: a core that lets two workers render what a former leader and this one have dispatched', async () => {
  core.mutation = (sound, ...args) => sound(...args).filter(({ type }) => type !== 'cancelOnWorker')
  expect(await isSeen('I14', ['twoLeaders', 'coordinatorCrash', 'straggler'])).toBe(true)
})

test('I15: a core that does not wait for the yes', async () => {
  core.mutation = (sound, farm, event, nowMs) =>
    sound(
      farm,
      event.type === 'batchOpened' ? { ...event, batch: { ...event.batch, approveAfter: null } } : event,
      nowMs,
    )
  expect(await isSeen('I15', [])).toBe(true)
})

test('an error that nobody expected', async () => {
  core.mutation = (sound, farm, event, nowMs) => {
    if (event.type === 'tick' && nowMs > 20_000) throw new Error('a bug')
    return sound(farm, event, nowMs)
  }
  expect(await isSeen('bug', [])).toBe(true)
})
